#include "kernels/cpu/tile_kernels.h"

namespace panther::cpu {

TileProcessor tile_processor() noexcept { return {}; }

const TileKernels* tile_kernels_avx2() noexcept { return nullptr; }

const TileKernels* tile_kernels_avx512() noexcept { return nullptr; }

}  // namespace panther::cpu
