#pragma once
// Where the gradients of a test program lie: on the CPU, or on the GPU that cuda_main.cpp names.
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "comm/group.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/view.h"

namespace panther::comm::testing {

inline Device& test_device() {
  static Device device;
  return device;
}
inline bool on_host() { return test_device().kind == DeviceKind::cpu; }

/// Runs `body` for each rank of a group of threads whose collectives take buffers on `device`; rethrows the first failure.
inline void run_ranks_on(Device device, int ranks, const std::function<void(Collective&)>& body) {
  if (device.kind == DeviceKind::cpu) return run_ranks_as_threads(ranks, body);
  const std::shared_ptr<Store> store = make_memory_store();
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        set_device(device.index);
        GroupOptions options;
        options.backend = "threads";
        options.rank = rank;
        options.size = ranks;
        options.device = device;
        options.store = store;
        body(*make_collective(options));
      } catch (...) {
        failures[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}
inline void run_ranks(int ranks, const std::function<void(Collective&)>& body) { run_ranks_on(test_device(), ranks, body); }

/// Waits until the copy is there.
inline void copy_now(void* to, const void* from, std::size_t bytes) {
  device_synchronize();
  copy_async(to, from, bytes, {});
  stream_synchronize({});
}

}  // namespace panther::comm::testing
