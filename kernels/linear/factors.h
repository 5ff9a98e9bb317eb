#pragma once
// How the paths get at a layer's factors. Internal to kernels/linear.
#include "kernels/linear/sketched_linear.h"

namespace panther::linear {

/// Columns [begin, begin + count) of a matrix.
inline TensorView columns(const TensorView& view, std::int64_t begin, std::int64_t count) {
  return view.transposed().slice(begin, count).transposed();
}

void require_matrix(const TensorView& view, const char* name, std::int64_t rows, std::int64_t columns);
void require_weights(const SketchedLinearWeights& weights);
const LinearKernels& table_of(const KernelSet& kernels);

/// Hands out parts of a workspace, aligned to 256 bytes; what is left goes to the library.
class Scratch {
 public:
  explicit Scratch(std::span<std::byte> memory) : memory_(memory) {}
  /// Throws InvalidArgument when the workspace is too small.
  TensorView matrix(DType dtype, Device device, std::int64_t rows, std::int64_t columns);
  std::span<std::byte> rest() const { return memory_; }
  static std::size_t bytes_of(DType dtype, std::int64_t rows, std::int64_t columns);

 private:
  std::span<std::byte> memory_;
};

/// A factor as one stored matrix: as it is when its signs are expanded, else written into scratch.
TensorView stored_factor(const LinearLaunch& launch, const StackedRows& rows, std::int64_t length, DType dtype, Scratch& scratch);

/// One product by whichever kernels the choice names. out_BN = alpha x_BL rows^T + beta out_BN.
void project(const LinearLaunch& launch, bool own, double alpha, const TensorView& x_BL, const StackedRows& rows_NL, double beta, const TensorView& out_BN,
             Scratch scratch);
/// out_BL = epilogue(alpha h_BN rows + beta out).
void combine(const LinearLaunch& launch, bool own, double alpha, const TensorView& h_BN, const StackedRows& rows_NL, double beta, const TensorView& out_BL,
             const LinearEpilogue& epilogue, Scratch scratch);
/// out_NL = alpha a_BN^T b_BL + beta out.
void reduce(const LinearLaunch& launch, bool own, double alpha, const TensorView& a_BN, const TensorView& b_BL, double beta, const TensorView& out_NL,
            Scratch scratch);

}  // namespace panther::linear
