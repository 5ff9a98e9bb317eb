#pragma once
// CUDA devices, streams, events and memory for code that may not see CUDA's headers. Built without CUDA, device_count()
// is 0 and the rest throws Unsupported with why_no_cuda().
//
// Everything throws: Unsupported without a driver or device, OutOfMemory, DeviceFault for what the device reports
// (sticky faults of earlier work included). Streams and events belong to the device current when they are created.
#include <cstddef>
#include <string>

#include "kernels/export.h"
#include "kernels/stream.h"

namespace panther {

struct Event {
  void* native = nullptr;  ///< a cudaEvent_t
};

struct DeviceMemory {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
};

/// 0 without CUDA, a driver or a device; never throws for those.
PANTHER_KERNELS_API int device_count() noexcept;
/// Of the calling thread.
PANTHER_KERNELS_API void set_device(int index);
PANTHER_KERNELS_API int current_device();
PANTHER_KERNELS_API std::string device_name(int index);
PANTHER_KERNELS_API DeviceMemory device_memory(int index);
/// "9.0" for Hopper.
PANTHER_KERNELS_API std::string device_capability(int index);
/// Waits for all work of all streams of the current device.
PANTHER_KERNELS_API void device_synchronize();

/// Runs beside the default stream, not after it.
PANTHER_KERNELS_API Stream create_stream();
PANTHER_KERNELS_API void destroy_stream(Stream stream) noexcept;
PANTHER_KERNELS_API void stream_synchronize(Stream stream);

/// `timed` events can be given to elapsed_seconds and cost a little more.
PANTHER_KERNELS_API Event create_event(bool timed = false);
PANTHER_KERNELS_API void destroy_event(Event event) noexcept;
PANTHER_KERNELS_API void record_event(Event event, Stream stream);
/// Later work of `stream` waits for the event; the caller does not.
PANTHER_KERNELS_API void stream_wait_event(Stream stream, Event event);
/// True when all work before the last record is done (or nothing was recorded).
PANTHER_KERNELS_API bool event_done(Event event);
PANTHER_KERNELS_API void event_synchronize(Event event);
/// Between two timed events that are done.
PANTHER_KERNELS_API double elapsed_seconds(Event begin, Event end);

/// Aligned to 256. `stream` says where the memory is first used; plain device memory, no pool.
PANTHER_KERNELS_API void* device_allocate(std::size_t bytes, int device, Stream stream);
PANTHER_KERNELS_API void device_release(void* pointer, int device, Stream stream) noexcept;
/// Host memory that copies to and from devices asynchronously.
PANTHER_KERNELS_API void* pinned_allocate(std::size_t bytes);
PANTHER_KERNELS_API void pinned_release(void* pointer) noexcept;

/// Any direction between host and devices; asynchronous where the host side is pinned.
PANTHER_KERNELS_API void copy_async(void* destination, const void* source, std::size_t bytes, Stream stream);
PANTHER_KERNELS_API void fill_zero_async(void* destination, std::size_t bytes, Stream stream);

}  // namespace panther
