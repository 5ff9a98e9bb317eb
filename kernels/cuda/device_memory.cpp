#include "kernels/cuda/device_memory.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <mutex>

#include "core/error.h"
#include "core/text.h"
#include "kernels/cuda/check.h"
#include "kernels/kernel_set.h"

namespace panther {
namespace cuda {
namespace {

ErrorCode code_of(cudaError_t status) {
  if (status == cudaErrorMemoryAllocation) return ErrorCode::OutOfMemory;
  if (status == cudaErrorInvalidDevice) return ErrorCode::InvalidArgument;
  // A call or launch that could not be right on any device.
  if (status == cudaErrorInvalidValue || status == cudaErrorInvalidConfiguration || status == cudaErrorNoKernelImageForDevice) return ErrorCode::Internal;
  return ErrorCode::DeviceFault;
}

cudaEvent_t native_event(Event event) { return static_cast<cudaEvent_t>(event.native); }

}  // namespace

void check_status(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  if (status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice) fail(ErrorCode::Unsupported, what, ": no CUDA: ", why_no_cuda());
  fail(code_of(status), what, ": ", cudaGetErrorString(status), " (CUDA error ", static_cast<int>(status), ")");
}

}  // namespace cuda

using cuda::check_status;

int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return 0;
  }
  return count;
}

void set_device(int index) { check_status(cudaSetDevice(index), "cudaSetDevice"); }

int current_device() {
  int index = 0;
  check_status(cudaGetDevice(&index), "cudaGetDevice");
  return index;
}

std::string device_name(int index) {
  cudaDeviceProp properties;
  check_status(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  return properties.name;
}

DeviceMemory device_memory(int index) {
  const cuda::DeviceScope scope(index);
  DeviceMemory memory;
  check_status(cudaMemGetInfo(&memory.free_bytes, &memory.total_bytes), "cudaMemGetInfo");
  return memory;
}

std::string device_capability(int index) {
  int major = 0, minor = 0;
  check_status(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index), "cudaDeviceGetAttribute");
  check_status(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index), "cudaDeviceGetAttribute");
  return concat(major, ".", minor);
}

void device_synchronize() { check_status(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

Stream create_stream() {
  cudaStream_t stream = nullptr;
  check_status(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return {stream};
}

void destroy_stream(Stream stream) noexcept {
  if (stream.native != nullptr) static_cast<void>(cudaStreamDestroy(cuda::native(stream)));
}

void stream_synchronize(Stream stream) { check_status(cudaStreamSynchronize(cuda::native(stream)), "cudaStreamSynchronize"); }

Event create_event(bool timed) {
  cudaEvent_t event = nullptr;
  check_status(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return {event};
}

void destroy_event(Event event) noexcept {
  if (event.native != nullptr) static_cast<void>(cudaEventDestroy(cuda::native_event(event)));
}

void record_event(Event event, Stream stream) { check_status(cudaEventRecord(cuda::native_event(event), cuda::native(stream)), "cudaEventRecord"); }

void stream_wait_event(Stream stream, Event event) {
  check_status(cudaStreamWaitEvent(cuda::native(stream), cuda::native_event(event), 0), "cudaStreamWaitEvent");
}

bool event_done(Event event) {
  const cudaError_t status = cudaEventQuery(cuda::native_event(event));
  if (status == cudaErrorNotReady) {
    static_cast<void>(cudaGetLastError());
    return false;
  }
  check_status(status, "cudaEventQuery");
  return true;
}

void event_synchronize(Event event) { check_status(cudaEventSynchronize(cuda::native_event(event)), "cudaEventSynchronize"); }

double elapsed_seconds(Event begin, Event end) {
  float milliseconds = 0;
  check_status(cudaEventElapsedTime(&milliseconds, cuda::native_event(begin), cuda::native_event(end)), "cudaEventElapsedTime");
  return milliseconds * 1e-3;
}

void* device_allocate(std::size_t bytes, int device, Stream) {
  const cuda::DeviceScope scope(device);
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, std::max<std::size_t>(bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    const DeviceMemory memory = device_memory(device);
    fail(ErrorCode::OutOfMemory, "could not allocate ", human_bytes(static_cast<double>(bytes)), " on CUDA device ", device, ": ",
         human_bytes(static_cast<double>(memory.free_bytes)), " of ", human_bytes(static_cast<double>(memory.total_bytes)), " are free");
  }
  check_status(status, "cudaMalloc");
  return data;
}

void device_release(void* pointer, int, Stream) noexcept { static_cast<void>(cudaFree(pointer)); }

void* pinned_allocate(std::size_t bytes) {
  void* data = nullptr;
  check_status(cudaMallocHost(&data, std::max<std::size_t>(bytes, 1)), "cudaMallocHost");
  return data;
}

void pinned_release(void* pointer) noexcept { static_cast<void>(cudaFreeHost(pointer)); }

void copy_async(void* destination, const void* source, std::size_t bytes, Stream stream) {
  if (bytes == 0) return;
  check_status(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDefault, cuda::native(stream)), "cudaMemcpyAsync");
}

void fill_zero_async(void* destination, std::size_t bytes, Stream stream) {
  if (bytes == 0) return;
  check_status(cudaMemsetAsync(destination, 0, bytes, cuda::native(stream)), "cudaMemsetAsync");
}

}  // namespace panther
