#include "core/error.h"
#include "kernels/cpu/tile_gemm.h"

namespace panther::cpu {

bool has_tile_gemm() noexcept { return false; }

bool tile_gemm(double, const TensorView&, const TensorView&, double, const TensorView&, const TensorView&) { return false; }

Slivers tile_pack(Strided, std::int64_t, std::int64_t, float*) { PANTHER_CHECK(false, "tile_pack without has_tile_gemm()"); }

void tile_rows(std::int64_t, float, Strided, const Slivers&, SliverPart, float*, std::int64_t) {
  PANTHER_CHECK(false, "tile_rows without has_tile_gemm()");
}

}  // namespace panther::cpu
