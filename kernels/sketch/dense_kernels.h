#pragma once
// Products with dense random matrices that are stored nowhere: one device's table behind KernelSet::dense_sketch.
//
// Legend: B rows of the data, V vectors (rows of S), E elements (columns of S).
#include <cstdint>

#include "kernels/allocator.h"
#include "kernels/sketch/signs.h"
#include "kernels/view.h"

namespace panther {

enum class DenseDistribution : std::uint8_t {
  signs,     ///< +-1, kernels/sketch/signs.h
  gaussian,  ///< N(0, 1), kernels/element/gaussian.h
  uniform    ///< uniform in (-sqrt 3, sqrt 3), variance 1, kernels/element/uniform.h
};

/// A window into an unbounded matrix S of independent entries with mean 0 and variance 1: its row 0 is vector first_vector, its
/// column 0 element first_element. Every entry is a function of (key, vector, element) alone and an exact f32, whatever the dtype of
/// the data: f64 products use the same S. Vectors and elements are below 2^32.
struct DenseSketch {
  SignKey key;
  DenseDistribution distribution = DenseDistribution::signs;
  std::int64_t first_vector = 0;
  std::int64_t first_element = 0;
};

/// Entries: two-dimensional views of floating dtype, any strides, sizes may be 0, x and out of one dtype; arithmetic in f32 at least and
/// one rounding to out's dtype; beta == 0 never reads out; x and out do not overlap. Scratch, which holds at most a block of S
/// (kernels/cuda/sketch_blocks.h; none on the CPU), comes from the allocator. Results depend on neither thread count nor launch shape.
struct DenseSketchKernels {
  /// out_VE = scale * S.
  void (*expand)(const DenseSketch& sketch, double scale, const TensorView& out_VE, Stream stream) = nullptr;
  /// out_BV = alpha x_BE S^T + beta out_BV.
  void (*project)(const DenseSketch& sketch, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Allocator& allocator,
                  Stream stream) = nullptr;
  /// out_BE = alpha x_BV S + beta out_BE.
  void (*lift)(const DenseSketch& sketch, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Allocator& allocator,
               Stream stream) = nullptr;
  /// c_MN = alpha a_MK b_KN + beta c_MN for stored matrices, with bits that depend on neither thread count nor on which rows and columns are asked
  /// for. KernelSet::gemm does not promise that: OpenBLAS's differ between one thread and two.
  void (*multiply)(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, Stream stream) = nullptr;
};

}  // namespace panther
