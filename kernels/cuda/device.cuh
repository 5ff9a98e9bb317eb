#pragma once
// What the kernels share: element types chosen by dtype, vector accesses, block sums.
#include <cstdint>
#include <utility>

#include "core/dtype.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/launch_plan.h"
#include "kernels/element/convert.h"
#include "kernels/kernel_set.h"

namespace panther::cuda {

template <class T>
struct TypeTag {
  using type = T;
};

/// Calls body(TypeTag<T>{}) with the element type of a floating dtype.
template <class Body>
void with_floating(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f64: return body(TypeTag<double>{});
    case DType::f32: return body(TypeTag<float>{});
    case DType::bf16: return body(TypeTag<Bf16>{});
    case DType::f16: return body(TypeTag<F16>{});
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

template <class Body>
void with_any(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::i64: return body(TypeTag<std::int64_t>{});
    case DType::i32: return body(TypeTag<std::int32_t>{});
    case DType::u8: return body(TypeTag<std::uint8_t>{});
    case DType::f64: case DType::f32: case DType::bf16: case DType::f16: return with_floating(dtype, std::forward<Body>(body));
  }
}

/// 16 bytes, moved by one instruction.
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / static_cast<int>(sizeof(T));
  T item[kSize];
};

__host__ __device__ inline bool aligned16(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

/// The sum over a block of kThreads threads, in a fixed tree; valid in thread 0. `scratch` holds kThreads values.
__device__ inline double block_sum(double value, double* scratch) {
  scratch[threadIdx.x] = value;
  __syncthreads();
  for (unsigned width = kThreads / 2; width > 0; width /= 2) {
    if (threadIdx.x < width) scratch[threadIdx.x] += scratch[threadIdx.x + width];
    __syncthreads();
  }
  return scratch[0];
}

}  // namespace panther::cuda
