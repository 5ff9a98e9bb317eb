// The twin of the CUDA files where they are not built.
#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/kernel_set.h"

namespace panther {
namespace {

[[noreturn]] void refuse(const char* what) { fail(ErrorCode::Unsupported, what, ": no CUDA: ", why_no_cuda()); }

}  // namespace

const KernelSet* cuda_kernels() { return nullptr; }
const char* why_no_cuda() { return "not built: configure with -DPANTHER_WITH_CUDA=ON on a machine with the CUDA toolkit"; }

int device_count() noexcept { return 0; }
void set_device(int) { refuse("set_device"); }
int current_device() { refuse("current_device"); }
std::string device_name(int) { refuse("device_name"); }
DeviceMemory device_memory(int) { refuse("device_memory"); }
std::string device_capability(int) { refuse("device_capability"); }
void device_synchronize() { refuse("device_synchronize"); }
Stream create_stream() { refuse("create_stream"); }
void destroy_stream(Stream) noexcept {}
void stream_synchronize(Stream) { refuse("stream_synchronize"); }
Event create_event(bool) { refuse("create_event"); }
void destroy_event(Event) noexcept {}
void record_event(Event, Stream) { refuse("record_event"); }
void stream_wait_event(Stream, Event) { refuse("stream_wait_event"); }
bool event_done(Event) { refuse("event_done"); }
void event_synchronize(Event) { refuse("event_synchronize"); }
double elapsed_seconds(Event, Event) { refuse("elapsed_seconds"); }
void* device_allocate(std::size_t, int, Stream) { refuse("device_allocate"); }
void device_release(void*, int, Stream) noexcept {}
void* pinned_allocate(std::size_t) { refuse("pinned_allocate"); }
void pinned_release(void*) noexcept {}
void copy_async(void*, const void*, std::size_t, Stream) { refuse("copy_async"); }
void fill_zero_async(void*, std::size_t, Stream) { refuse("fill_zero_async"); }

}  // namespace panther
