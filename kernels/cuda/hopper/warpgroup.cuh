#pragma once
// Hopper's warpgroup products (wgmma) and what orders them, as the PTX ISA names them; for sm_90a only.
#include <cstdint>
#include <type_traits>

#include "kernels/element/half.h"

namespace panther::cuda {

// The 64 registers of a 64 x 128 accumulator as operands that are read and written.
#define PANTHER_ACCUMULATOR(d) \
        "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), \
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), \
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), \
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), \
        "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), \
        "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), \
        "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), \
        "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])

/// 64-bit description of an operand in shared memory with 128-byte swizzle: lines of 128 bytes, eight of them (1024 bytes, so aligned) a pattern.
/// `leading` and `stride` bytes lie between patterns along the operand's near and far dimension.
__device__ inline std::uint64_t swizzled_descriptor(const void* start, std::uint32_t leading, std::uint32_t stride) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(start));
  return (std::uint64_t{(address & 0x3FFFFu) >> 4}) | (std::uint64_t{leading >> 4} << 16) | (std::uint64_t{stride >> 4} << 32) | (std::uint64_t{1} << 62);
}

/// d += a b over 16 elements of depth: a 64 x 16 in registers, b 16 x 128 in shared memory with its columns near each other or its depth.
template <bool columns_near>
__device__ inline void multiply_bf16(float (&d)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, "
      "%63}, {%64, %65, %66, %67}, %68, 1, 1, 1, %69;"
      : PANTHER_ACCUMULATOR(d)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(columns_near ? 1 : 0));
}

template <bool columns_near>
__device__ inline void multiply_f16(float (&d)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, "
      "%63}, {%64, %65, %66, %67}, %68, 1, 1, 1, %69;"
      : PANTHER_ACCUMULATOR(d)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(columns_near ? 1 : 0));
}

template <class T, bool columns_near>
__device__ inline void multiply(float (&d)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  if constexpr (std::is_same_v<T, Bf16>) multiply_bf16<columns_near>(d, a, b);
  else multiply_f16<columns_near>(d, a, b);
}

/// The registers are written before what follows.
__device__ inline void pin(float (&d)[64]) { asm volatile("" : PANTHER_ACCUMULATOR(d)::"memory"); }

#undef PANTHER_ACCUMULATOR

/// The compiler computes the value here and moves it no further.
__device__ inline void make_now(std::uint32_t& value) { asm volatile("" : "+r"(value)); }

/// Before the first product after registers were written.
__device__ inline void fence_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Until at most `groups` committed groups of products are in flight.
template <int groups>
__device__ inline void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(groups) : "memory");
}

}  // namespace panther::cuda
