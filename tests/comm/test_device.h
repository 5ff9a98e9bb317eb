#pragma once
// Where the gradients of a test program lie: on the CPU, or on the GPU that cuda_main.cpp names.
#include <functional>

#include "comm/group.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/view.h"

namespace panther::comm::testing {

inline Device& test_device() {
  static Device device;
  return device;
}
inline bool on_host() { return test_device().kind == DeviceKind::cpu; }

/// run_ranks_as_threads() there.
inline void run_ranks(int ranks, const std::function<void(Collective&)>& body) { run_ranks_as_threads(ranks, body, test_device()); }

/// Waits until the copy is there.
inline void copy_now(void* to, const void* from, std::size_t bytes) {
  device_synchronize();
  copy_async(to, from, bytes, {});
  stream_synchronize({});
}

}  // namespace panther::comm::testing
