#pragma once
// Hopper's bulk copies of tensor tiles and the barriers in shared memory that count their bytes, as the PTX ISA names them.
#include <cuda.h>

#include <cstdint>

namespace panther::cuda {

__device__ inline std::uint32_t shared_address(const void* pointer) { return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer)); }

/// One phase ends when `arrivals` have come and all expected bytes are there; phases alternate in parity, beginning with 0.
struct CopyBarrier {
  std::uint64_t state;

  __device__ void init(std::uint32_t arrivals) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&state)), "r"(arrivals) : "memory"); }
  __device__ void arrive() { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&state)) : "memory"); }
  /// Arrives, too.
  __device__ void expect(std::uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&state)), "r"(bytes) : "memory");
  }
  /// Until the phase of this parity has ended.
  __device__ void wait(std::uint32_t parity) {
    std::uint32_t done = 0;
    while (done == 0) {
      asm volatile(
          "{ .reg .pred p;\n"
          "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
          "selp.u32 %0, 1, 0, p; }"
          : "=r"(done)
          : "r"(shared_address(&state)), "r"(parity)
          : "memory");
    }
  }
};

/// After the thread that initialised barriers, before a block-wide barrier: the copy engine sees them.
__device__ inline void publish_barriers() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// Stages that one thread fills and all warps read, step after step: step s uses stage s % stages.
template <int stages>
struct CopyRing {
  CopyBarrier full[stages], empty[stages];

  /// By one thread, before a block-wide barrier.
  __device__ void init(std::uint32_t warps) {
    for (int stage = 0; stage < stages; ++stage) full[stage].init(1), empty[stage].init(warps);
    publish_barriers();
  }
  __device__ CopyBarrier& full_at(int step) { return full[step % stages]; }
  /// Until the copies of a step have arrived; until all warps have released it.
  __device__ void wait_full(int step) { full[step % stages].wait(static_cast<std::uint32_t>(step / stages) & 1u); }
  __device__ void wait_empty(int step) { empty[step % stages].wait(static_cast<std::uint32_t>(step / stages) & 1u); }
  /// By one lane of each warp that has read it.
  __device__ void release(int step) { empty[step % stages].arrive(); }
};

/// The tile that begins at the coordinates; what lies outside the tensor is zero and counts as copied.
__device__ inline void copy_tile(void* target, const CUtensorMap& map, std::int32_t x, std::int32_t y, CopyBarrier& barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(target)), "l"(&map), "r"(x),
               "r"(y), "r"(shared_address(&barrier.state))
               : "memory");
}
__device__ inline void copy_tile(void* target, const CUtensorMap& map, std::int32_t x, std::int32_t y, std::int32_t z, std::int32_t w, CopyBarrier& barrier) {
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], [%6];" ::"r"(shared_address(target)), "l"(&map),
               "r"(x), "r"(y), "r"(z), "r"(w), "r"(shared_address(&barrier.state))
               : "memory");
}

}  // namespace panther::cuda
