#pragma once
// out = epilogue(alpha a rows + beta out) where the factor's rows lie along the result: sums of scaled rows.
#include "kernels/cpu/tile_store.h"
#include "kernels/cpu/value_rows.h"

namespace panther::cpu {

/// out_ML of `target` from a_MK (any strides) and rows_KL. An element's value depends on K alone.
template <class T> void outer_product(const TileTarget<T>& target, const TensorView& a_MK, const StackedRows& rows_KL);

}  // namespace panther::cpu
