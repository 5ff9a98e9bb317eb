#include <immintrin.h>

#include <algorithm>

#include "core/error.h"
#include "kernels/cpu/tile_kernels.h"

// What stands between push and pop may use AVX-512. tile_kernels_avx512(), which says whether it may be called, stands behind it.
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")

#include "kernels/cpu/tile_blocks.h"

namespace panther::cpu {
namespace {

/// 8 x 32: sixteen accumulators hide the latency of two multiply-adds a cycle. Tiles of 12 and 14 rows measured the same on Zen 5, and eight
/// rows a power of two apart still fit the ways of the first-level cache.
struct Sixteen {
  using Vector = __m512;
  static constexpr std::int64_t kCount = 16, kRows = 8;
  static Vector load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Vector value) { _mm512_storeu_ps(to, value); }
  static Vector broadcast(float value) { return _mm512_set1_ps(value); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
};

constexpr TileKernels kKernels = tile_kernels<Sixteen>("avx512");

}  // namespace

#pragma GCC pop_options

const TileKernels* tile_kernels_avx512() noexcept { return tile_processor().avx512 ? &kKernels : nullptr; }

}  // namespace panther::cpu
