#pragma once
// Products with hashed sparse matrices that are stored nowhere: one device's table behind KernelSet::sparse_sketch.
//
// Legend: J major vectors, M minor places of the pattern's window, C columns of the data.
#include <cstdint>

#include "kernels/allocator.h"
#include "kernels/element/sparse_pattern.h"
#include "kernels/view.h"

namespace panther {

/// Major vectors from first_major and minor places from first_minor of a pattern; the views' shapes say how many.
struct SparseWindow {
  SparsePattern pattern;  ///< listed: place and value on the host; CUDA entries copy the window's part to the device
  std::int64_t first_major = 0;
  std::int64_t first_minor = 0;
};

/// Entries: two-dimensional views of floating dtype, any strides, sizes may be 0, a and out of one dtype and not overlapping; sums in
/// f32 at least (f64 for f64) with one rounding to out's dtype; beta == 0 never reads out. No atomics: an element of out has one owner,
/// which adds in ascending order of major vectors (scatter) or draws (gather), so results depend on neither thread count nor tiles.
/// Scratch, which holds the pattern of a bounded number of major vectors at a time, comes from the allocator.
struct SparseSketchKernels {
  /// out_MC = alpha sum over j of entry(j, m) a_JC[j] + beta out_MC.
  void (*scatter)(const SparseWindow& window, double alpha, const TensorView& a_JC, double beta, const TensorView& out_MC, Allocator& allocator,
                  Stream stream) = nullptr;
  /// out_JC = alpha sum over m of entry(j, m) a_MC[m] + beta out_JC: the transposed product.
  void (*gather)(const SparseWindow& window, double alpha, const TensorView& a_MC, double beta, const TensorView& out_JC, Allocator& allocator,
                 Stream stream) = nullptr;
  /// out_JM = scale * entry(j, m).
  void (*expand)(const SparseWindow& window, double scale, const TensorView& out_JM, Allocator& allocator, Stream stream) = nullptr;
};

}  // namespace panther
