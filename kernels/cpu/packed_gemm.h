#pragma once
// A blocked matrix product over packed panels: c = alpha a b + beta c (+ bias). Operands are whatever can fill a panel
// (strided views of any floating dtype, panels that somebody else filled), the arithmetic is f32 or f64, and every
// element of c is rounded once. An element's value depends on K's blocking alone, never on tiles or threads.
#include <cstdint>

#include "kernels/view.h"

namespace panther::cpu {

inline constexpr int kPanelRows = 6;  ///< rows of c that one micro-kernel holds in registers
template <class T> inline constexpr int kPanelColumns = 64 / static_cast<int>(sizeof(T));
inline constexpr std::int64_t kTileM = 96, kTileN = 128, kTileK = 256;

/// One operand, seen as [outer, K] with outer = rows of a or columns of b.
template <class T>
struct PanelSource {
  /// Fills panel[outers / width][depth][width], anything finite beyond `outers`; `width` is the micro-kernel's.
  void (*pack)(const PanelSource& self, std::int64_t outer, std::int64_t outers, std::int64_t k, std::int64_t depth, T* panel) = nullptr;
  const void* data = nullptr;
  std::int64_t outer_stride = 0;
  std::int64_t k_stride = 0;
};

/// a_MK as rows, or b_KN as columns.
template <class T> PanelSource<T> rows_of(const TensorView& a_MK);
template <class T> PanelSource<T> columns_of(const TensorView& b_KN);

template <class T>
struct PackedProduct {
  std::int64_t rows = 0, columns = 0, depth = 0;
  T alpha = 1, beta = 0;
  PanelSource<T> a, b;
  /// b already packed, for many products or by a generator; b is then unused. [K in blocks of kTileK][packed_columns / width][depth][width].
  const T* packed_b = nullptr;
  std::int64_t packed_columns = 0;  ///< a multiple of the width
  TensorView c_MN;
  TensorView bias_N = {};
};

template <class T> void packed_gemm(const PackedProduct<T>& product);

}  // namespace panther::cpu
