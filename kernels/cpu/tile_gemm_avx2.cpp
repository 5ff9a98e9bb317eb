#include <immintrin.h>

#include <algorithm>

#include "core/error.h"
#include "kernels/cpu/tile_kernels.h"

// What stands between push and pop may use AVX2. tile_kernels_avx2(), which says whether it may be called, stands behind it: it runs on
// processors without AVX.
#pragma GCC push_options
#pragma GCC target("avx2,fma")

#include "kernels/cpu/tile_blocks.h"

namespace panther::cpu {
namespace {

/// 6 x 16: twelve accumulators, two vectors of b and one of a fill fifteen of sixteen registers.
struct Eight {
  using Vector = __m256;
  static constexpr std::int64_t kCount = 8, kRows = 6;
  static Vector load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Vector value) { _mm256_storeu_ps(to, value); }
  static Vector broadcast(float value) { return _mm256_set1_ps(value); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
};

constexpr TileKernels kKernels = tile_kernels<Eight>("avx2");

}  // namespace

#pragma GCC pop_options

TileProcessor tile_processor() noexcept {
  TileProcessor processor;
  processor.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  processor.avx512 = processor.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq");
  processor.amd = __builtin_cpu_is("amd");
  return processor;
}

const TileKernels* tile_kernels_avx2() noexcept { return tile_processor().avx2 ? &kKernels : nullptr; }

}  // namespace panther::cpu
