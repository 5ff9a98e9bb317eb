#pragma once
// The steps decompositions are written in: products, copies, norms and sums over ranks of matrices of one dtype on one device.
//
// Legend: M rows of the split matrix (this rank's share), N its columns, L K sizes of factors.
#include <string>
#include <vector>

#include "kernels/linalg/context.h"
#include "kernels/linalg/lapack_kernels.h"
#include "kernels/matrix.h"

namespace panther::linalg {

/// The same context for a matrix that every rank holds whole: nothing is summed.
Context replicated(const Context& context);

/// Refers to the context; does not outlive it.
class PANTHER_KERNELS_API Arithmetic {
 public:
  /// Throws InvalidArgument unless dtype is f32 or f64, Unsupported when the kernels have no LAPACK table.
  Arithmetic(const Context& context, DType dtype, Device device);

  const Context& context() const noexcept { return context_; }
  const LapackKernels& lapack() const noexcept { return *context_.kernels.lapack; }
  Allocator& allocator() const noexcept { return context_.allocator; }
  Stream stream() const noexcept { return context_.stream; }
  DType dtype() const noexcept { return dtype_; }
  Device device() const noexcept { return device_; }
  /// Relative rounding error of one operation: 2^-53 or 2^-24.
  double unit_roundoff() const noexcept { return dtype_ == DType::f64 ? 0x1p-53 : 0x1p-24; }
  /// What differences of squared norms of relative size 1 can still show, sqrt(2 u): 1.5e-8 in f64, 3.5e-4 in f32.
  double indicator_floor() const noexcept;
  bool split() const noexcept { return static_cast<bool>(context_.sum_over_ranks); }

  Matrix matrix(std::int64_t rows, std::int64_t columns) const { return matrix(rows, columns, dtype_); }
  Matrix matrix(std::int64_t rows, std::int64_t columns, DType dtype) const;
  Matrix zeros(std::int64_t rows, std::int64_t columns) const;
  Matrix copy_of(const TensorView& source) const { return copy_of(source, dtype_); }
  Matrix copy_of(const TensorView& source, DType dtype) const;
  /// Converted where the dtypes differ; any strides.
  void copy(const TensorView& source, const TensorView& destination) const;

  /// c = alpha a b + beta c; transposes are views.
  void multiply(double alpha, const TensorView& a, const TensorView& b, double beta, const TensorView& c) const;
  Matrix product(const TensorView& a, const TensorView& b) const;
  /// a_MK^T b_ML over all ranks' rows.
  Matrix inner_product(const TensorView& a_MK, const TensorView& b_ML) const;
  /// a_MN S^T with the whole S (L x N): no communication.
  Matrix sketch_columns(const SketchOperator& sketch, const TensorView& a_MN) const;
  /// S a over all ranks' rows, S (L x total rows).
  Matrix sketch_rows(const SketchOperator& sketch, const TensorView& a_MN) const;
  /// rows x columns operator of the context's seed.
  std::unique_ptr<SketchOperator> sketch(const std::string& kind, std::int64_t rows, std::int64_t columns, const std::string& name) const;

  /// In place over all ranks; contiguous.
  void sum(const Matrix& whole) const;
  double sum(double value) const;
  std::vector<double> sum(std::vector<double> values) const;

  /// Of this rank's rows, in f64. Any strides of which one is 1.
  double squared_norm(const TensorView& a) const;
  /// Of this rank's rows, column-major, in f64.
  std::vector<double> column_squares(const TensorView& a) const;

  /// A copy on the host, column by column, as f64. Waits for the stream.
  std::vector<double> download(const TensorView& view) const;
  void upload(const std::vector<double>& values, const TensorView& view) const;

 private:
  const Context& context_;
  DType dtype_;
  Device device_;
};

/// What a decomposition works on: checked, finite on every rank, with a unit stride.
struct Input {
  Matrix copy;  ///< when the caller's strides needed one
  TensorView view;
  std::int64_t rows = 0;  ///< over all ranks
  std::int64_t columns = 0;
};

/// Throws InvalidArgument, naming `routine`: not a matrix, neither f32 nor f64, empty, rows outside [0, total_rows), nan or inf on any rank.
PANTHER_KERNELS_API Input checked_input(const Context& context, const TensorView& a, const char* routine);

}  // namespace panther::linalg
