#include "kernels/linalg/blocks.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/cuda/device_memory.h"

namespace panther::linalg {

TensorView diagonal(const TensorView& a, std::int64_t count) noexcept {
  TensorView result = a;
  result.dims = 1;
  result.shape = {count};
  result.strides = {a.strides[0] + a.strides[1]};
  return result;
}

TensorView head(const TensorView& vector, std::int64_t count) noexcept {
  TensorView result = vector.slice(0, count);
  result.dims = 1;
  return result;
}

const LapackKernels& lapack_of(const Context& context) {
  if (context.kernels.lapack == nullptr) {
    fail(ErrorCode::Unsupported, "the kernels of ", context.kernels.name, " have no factorizations: configure with -DPANTHER_WITH_OPENBLAS=ON",
         context.kernels.device == DeviceKind::cuda ? " and -DPANTHER_WITH_CUDA=ON" : "");
  }
  return *context.kernels.lapack;
}

Matrix make_matrix(const Context& context, const TensorView& like, std::int64_t rows, std::int64_t columns) {
  return make_matrix(context, like, like.dtype, rows, columns);
}

Matrix make_matrix(const Context& context, const TensorView& like, DType dtype, std::int64_t rows, std::int64_t columns) {
  return Matrix(context.allocator, like.device, context.stream, dtype, rows, columns);
}

Matrix copy_of(const Context& context, const TensorView& a, DType dtype) {
  Matrix result = make_matrix(context, a, dtype, a.shape[0], a.shape[1]);
  if (result.empty()) return result;
  // By columns of the destination: the same loop order on both sides where a is column-major.
  context.kernels.cast(a.transposed(), result.view().transposed(), context.stream);
  return result;
}

std::vector<double> to_host(const Context& context, const TensorView& vector) {
  std::vector<double> values(static_cast<std::size_t>(vector.shape[0]));
  if (values.empty()) return values;
  if (vector.device.kind == DeviceKind::cpu) {
    context.kernels.cast(vector, TensorView(values.data(), DType::f64, {vector.shape[0]}), context.stream);
    return values;
  }
  Workspace packed(context.allocator, values.size() * sizeof(double), vector.device, context.stream);
  context.kernels.cast(vector, TensorView(packed.data(), DType::f64, {vector.shape[0]}, vector.device), context.stream);
  copy_async(values.data(), packed.data(), values.size() * sizeof(double), context.stream);
  stream_synchronize(context.stream);
  return values;
}

std::unique_ptr<SketchOperator> make_row_sketch(const Context& context, const std::string& kind, std::int64_t rows, std::int64_t columns,
                                                const std::string& name, std::int64_t nonzeros, std::uint32_t epoch) {
  SketchSpec spec;
  spec.kind = kind;
  spec.rows = rows;
  spec.columns = columns;
  spec.seed = context.seed;
  spec.name = name;
  spec.epoch = epoch;
  spec.nonzeros = std::min(nonzeros, kind == "laso" ? columns : rows);
  return make_sketch(spec);
}

void sum_over_ranks(const Context& context, const TensorView& view) {
  if (context.sum_over_ranks) context.sum_over_ranks(view.is_contiguous() ? view : view.transposed());
}

double unit_roundoff(DType dtype) noexcept { return dtype == DType::f64 ? 0x1p-53 : 0x1p-24; }

void require_input(const Context& context, const TensorView& a, const char* routine) {
  PANTHER_REQUIRE(a.dims == 2 && a.shape[0] >= 0 && a.shape[1] >= 0, routine, " takes a matrix, not ", a.dims, " dimensions");
  PANTHER_REQUIRE(a.dtype == DType::f32 || a.dtype == DType::f64, routine, " takes f32 or f64, not ", dtype_name(a.dtype));
  PANTHER_REQUIRE(a.device.kind == context.kernels.device, routine, ": the matrix lies on another device than the kernels of ", context.kernels.name);
  const std::int64_t total = context.rows_of(a);
  PANTHER_REQUIRE(context.first_row >= 0 && context.first_row + a.shape[0] <= total, routine, ": rows [", context.first_row, ", ",
                  context.first_row + a.shape[0], ") do not lie in ", total, " rows");
  PANTHER_REQUIRE(context.sum_over_ranks || total == a.shape[0], routine, ": ", a.shape[0], " of ", total, " rows without a sum over ranks");
}

void require_finite(const Context& context, const TensorView& a, const TensorView& sketch, const char* routine) {
  const LapackKernels& lapack = lapack_of(context);
  if (lapack.all_finite(sketch, context.allocator, context.stream)) return;
  Matrix copy;
  TensorView whole = a;
  if (a.strides[0] != 1 && a.shape[0] > 1) {
    copy = copy_of(context, a);
    whole = copy.view();
  }
  const bool local = lapack.all_finite(whole, context.allocator, context.stream);
  PANTHER_REQUIRE(local, routine, ": the matrix holds nan or infinity (in rows [", context.first_row, ", ", context.first_row + a.shape[0], "))");
  PANTHER_REQUIRE(!context.sum_over_ranks, routine, ": the matrix holds nan or infinity on another rank, or its sketch overflows: scale it down");
  fail(ErrorCode::InvalidArgument, routine, ": the matrix is so large that its sketch overflows ", dtype_name(a.dtype), ": scale it down");
}

}  // namespace panther::linalg
