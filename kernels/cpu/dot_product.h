#pragma once
// out = alpha x rows^T + beta out where both sides lie along the sum: nothing is transposed, signs become numbers a cache block at a time.
#include "kernels/cpu/tile_store.h"
#include "kernels/cpu/value_rows.h"

namespace panther::cpu {

/// out_BN of `target` from x_BL and rows_NL. An element's value depends on L alone.
template <class T> void dot_product(const TileTarget<T>& target, const TensorView& x_BL, const StackedRows& rows_NL);

}  // namespace panther::cpu
