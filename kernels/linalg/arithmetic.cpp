#include "kernels/linalg/arithmetic.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/cuda/device_memory.h"

namespace panther::linalg {
namespace {

TensorView as_matrix(const TensorView& view) {
  TensorView result = view;
  if (view.dims == 1) result.dims = 2, result.shape[1] = 1, result.strides[1] = std::max<std::int64_t>(view.shape[0], 1);
  return result;
}

/// Column-major as LAPACK reads it; norms and finiteness do not mind a transpose.
TensorView column_major(const TensorView& a) { return a.strides[0] == 1 || a.shape[0] <= 1 ? a : a.transposed(); }

}  // namespace

Context replicated(const Context& context) {
  Context whole = context;
  whole.sum_over_ranks = nullptr;
  whole.first_row = 0;
  whole.total_rows = -1;
  return whole;
}

Arithmetic::Arithmetic(const Context& context, DType dtype, Device device) : context_(context), dtype_(dtype), device_(device) {
  PANTHER_REQUIRE(dtype == DType::f32 || dtype == DType::f64, "decompositions work in f32 or f64, not ", dtype_name(dtype), ": convert first");
  if (context.kernels.lapack == nullptr) {
    fail(ErrorCode::Unsupported, "the ", context.kernels.name, " kernels were built without LAPACK: configure with -DPANTHER_WITH_OPENBLAS=ON");
  }
}

double Arithmetic::indicator_floor() const noexcept { return std::sqrt(2 * unit_roundoff()); }

Matrix Arithmetic::matrix(std::int64_t rows, std::int64_t columns, DType dtype) const {
  return Matrix(context_.allocator, device_, context_.stream, dtype, rows, columns);
}

Matrix Arithmetic::zeros(std::int64_t rows, std::int64_t columns) const {
  Matrix result = matrix(rows, columns);
  lapack().fill('A', 0, 0, result.view(), stream());
  return result;
}

Matrix Arithmetic::copy_of(const TensorView& source, DType dtype) const {
  const TensorView from = as_matrix(source);
  Matrix result = matrix(from.shape[0], from.shape[1], dtype);
  copy(from, result.view());
  return result;
}

void Arithmetic::copy(const TensorView& source, const TensorView& destination) const {
  if (destination.numel() > 0) context_.kernels.cast(source, destination, context_.stream);
}

void Arithmetic::multiply(double alpha, const TensorView& a, const TensorView& b, double beta, const TensorView& c) const {
  const auto narrow = lapack().narrow_product;
  if (narrow != nullptr && narrow(alpha, a, b, beta, c, context_.allocator, context_.stream)) return;
  context_.kernels.gemm(alpha, a, b, beta, c, {}, {}, context_.stream);
}

Matrix Arithmetic::product(const TensorView& a, const TensorView& b) const {
  Matrix result = matrix(a.shape[0], b.shape[1]);
  multiply(1, a, b, 0, result.view());
  return result;
}

Matrix Arithmetic::inner_product(const TensorView& a_MK, const TensorView& b_ML) const {
  Matrix result = product(a_MK.transposed(), b_ML);
  sum(result);
  return result;
}

Matrix Arithmetic::sketch_columns(const SketchOperator& sketch, const TensorView& a_MN) const {
  Matrix result = matrix(a_MN.shape[0], sketch.rows());
  apply_right(sketch, context_.sketch(), true, sketch.isometry_scale(), a_MN, 0, result.view());
  return result;
}

Matrix Arithmetic::sketch_rows(const SketchOperator& sketch, const TensorView& a_MN) const {
  Matrix result = matrix(sketch.rows(), a_MN.shape[1]);
  const SketchBlock rows{0, -1, context_.first_row, a_MN.shape[0]};
  if (a_MN.shape[0] == 0) {
    lapack().fill('A', 0, 0, result.view(), stream());
  } else {
    sketch.apply(context_.sketch(), false, rows, sketch.isometry_scale(), a_MN, 0, result.view());
  }
  sum(result);
  return result;
}

std::unique_ptr<SketchOperator> Arithmetic::sketch(const std::string& kind, std::int64_t rows, std::int64_t columns, const std::string& name) const {
  SketchSpec spec;
  spec.kind = kind;
  spec.rows = rows;
  spec.columns = columns;
  spec.seed = context_.seed;
  spec.name = name;
  spec.nonzeros = std::min<std::int64_t>(spec.nonzeros, kind == "laso" ? columns : rows);
  return make_sketch(spec);
}

void Arithmetic::sum(const Matrix& whole) const {
  if (split() && !whole.empty()) context_.sum_over_ranks(TensorView(whole.view().data, whole.view().dtype, {whole.view().numel()}, device_));
}

double Arithmetic::sum(double value) const { return sum(std::vector<double>{value}).front(); }

std::vector<double> Arithmetic::sum(std::vector<double> values) const {
  if (!split()) return values;
  const Matrix staged = matrix(static_cast<std::int64_t>(values.size()), 1, DType::f64);
  upload(values, staged.view());
  sum(staged);
  return download(staged.view());
}

double Arithmetic::squared_norm(const TensorView& a) const {
  double total = 0;
  for (const double square : column_squares(column_major(a))) total += square;
  return total;
}

std::vector<double> Arithmetic::column_squares(const TensorView& a) const {
  const Matrix squares = matrix(a.shape[1], 1, DType::f64);
  lapack().column_norms(a, squares.column(0), stream());
  return download(squares.view());
}

std::vector<double> Arithmetic::download(const TensorView& view) const {
  const TensorView from = as_matrix(view);
  std::vector<double> values(static_cast<std::size_t>(from.numel()));
  if (values.empty()) return values;
  TensorView to(values.data(), DType::f64, {from.shape[1], from.shape[0]});
  if (device_.kind == DeviceKind::cpu) {
    copy(from, to.transposed());
    return values;
  }
  const Matrix staged = copy_of(from, DType::f64);
  copy_async(values.data(), staged.view().data, values.size() * sizeof(double), stream());
  stream_synchronize(stream());
  return values;
}

void Arithmetic::upload(const std::vector<double>& values, const TensorView& view) const {
  const TensorView into = as_matrix(view);
  if (into.numel() == 0) return;
  TensorView from(const_cast<double*>(values.data()), DType::f64, {into.shape[1], into.shape[0]});
  if (device_.kind == DeviceKind::cpu) return copy(from.transposed(), into);
  const Matrix staged = matrix(into.shape[0], into.shape[1], DType::f64);
  copy_async(staged.view().data, values.data(), values.size() * sizeof(double), stream());
  copy(staged.view(), into);
  stream_synchronize(stream());
}

}  // namespace panther::linalg
