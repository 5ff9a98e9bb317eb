#include "kernels/sketch/leverage.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "kernels/check_arguments.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/linalg/lapack_kernels.h"
#include "kernels/matrix.h"

namespace panther {
namespace {

/// Rows whose norms are taken at a time: a few MB.
constexpr std::int64_t kRows = 4096;

const LapackKernels& lapack(const SketchContext& context) {
  if (context.kernels.lapack == nullptr) fail(ErrorCode::Unsupported, "leverage scores need LAPACK, which the kernel set '", context.kernels.name, "' lacks");
  return *context.kernels.lapack;
}

DType work_dtype(const TensorView& a) { return a.dtype == DType::f64 ? DType::f64 : DType::f32; }

void require_matrix(const TensorView& a) {
  PANTHER_REQUIRE(a.dims == 2 && is_floating(a.dtype) && a.shape[1] >= 1, "leverage: a must be a floating matrix with columns, is ", check::describe(a));
}

Matrix matrix(const SketchContext& context, const TensorView& like, std::int64_t rows, std::int64_t columns) {
  return Matrix(context.allocator, like.device, context.stream, work_dtype(like), rows, columns);
}

/// Appends the squared norms of rows of `part`: its transpose's columns.
void append_norms(const SketchContext& context, const TensorView& part, std::vector<double>& norms) {
  const Matrix turned = matrix(context, part, part.shape[1], part.shape[0]);
  context.kernels.cast(part.transposed(), turned.view(), context.stream);
  const Matrix squares(context.allocator, part.device, context.stream, DType::f64, part.shape[0], 1);
  lapack(context).column_norms(turned.view(), squares.column(0), context.stream);
  const std::size_t begin = norms.size();
  norms.resize(begin + static_cast<std::size_t>(part.shape[0]));
  const std::size_t bytes = static_cast<std::size_t>(part.shape[0]) * sizeof(double);
  if (part.device.kind == DeviceKind::cpu) {
    std::memcpy(norms.data() + begin, squares.view().data, bytes);
  } else {
    copy_async(norms.data() + begin, squares.view().data, bytes, context.stream);
    stream_synchronize(context.stream);
  }
}

/// rows(first, count) gives a matrix whose row norms stand for those of a's rows.
template <class Rows>
std::vector<double> norms_of(const SketchContext& context, std::int64_t total, Rows&& rows) {
  std::vector<double> norms;
  norms.reserve(static_cast<std::size_t>(total));
  for (std::int64_t first = 0; first < total; first += kRows) append_norms(context, rows(first, std::min(kRows, total - first)), norms);
  return norms;
}

/// The QR of a SASO sketch of a: R in the upper triangle of the first C rows.
Matrix sketched_triangle(const SketchContext& context, const TensorView& a, const ApproximateLeverage& options) {
  const std::int64_t columns = a.shape[1], rows = options.oversampling * columns;
  SketchSpec spec{.kind = "saso", .rows = rows, .columns = a.shape[0], .seed = options.seed, .name = "leverage/sketch"};
  spec.nonzeros = std::min<std::int64_t>(8, rows);
  const auto sketch = make_sketch(spec);
  Matrix sketched = matrix(context, a, rows, columns);
  if (a.dtype == sketched.view().dtype) {
    sketch->apply(context, false, {}, sketch->isometry_scale(), a, 0.0, sketched.view());
  } else {
    const Workspace memory(context.allocator, static_cast<std::size_t>(rows * columns) * size_of(a.dtype), a.device, context.stream);
    const TensorView narrow(memory.data(), a.dtype, {rows, columns}, a.device);
    sketch->apply(context, false, {}, sketch->isometry_scale(), a, 0.0, narrow);
    context.kernels.cast(narrow, sketched.view(), context.stream);
  }
  const Matrix tau(context.allocator, a.device, context.stream, work_dtype(a), columns, 1);
  lapack(context).qr(sketched.view(), tau.column(0), context.allocator, context.stream);
  return sketched;
}

/// R^-1 G, or R^-1 itself without projections.
Matrix whitening(const SketchContext& context, const TensorView& a, const Matrix& triangle, const ApproximateLeverage& options) {
  const std::int64_t columns = a.shape[1], projections = options.projections == 0 ? columns : options.projections;
  Matrix result = matrix(context, a, columns, projections);
  if (options.projections == 0) {
    lapack(context).fill('A', 0.0, 1.0, result.view(), context.stream);
  } else {
    const auto gaussian = make_sketch({.kind = "gaussian", .rows = projections, .columns = columns, .seed = options.seed, .name = "leverage/projection"});
    gaussian->materialize(context, {}, gaussian->isometry_scale(), result.view().transposed());
  }
  lapack(context).solve_upper(Side::left, false, 1.0, triangle.block(0, columns, 0, columns), result.view(), context.allocator, context.stream);
  return result;
}

}  // namespace

std::vector<double> squared_row_norms(const SketchContext& context, const TensorView& a_NC) {
  require_matrix(a_NC);
  return norms_of(context, a_NC.shape[0], [&](std::int64_t first, std::int64_t count) { return a_NC.slice(first, count); });
}

std::vector<double> leverage_scores(const SketchContext& context, const TensorView& a_NC) {
  require_matrix(a_NC);
  const std::int64_t rows = a_NC.shape[0], columns = a_NC.shape[1];
  PANTHER_REQUIRE(rows >= columns, "leverage_scores: a must have at least as many rows as columns, is ", check::describe(a_NC));
  const Matrix q = matrix(context, a_NC, rows, columns), tau = matrix(context, a_NC, columns, 1);
  context.kernels.cast(a_NC, q.view(), context.stream);
  lapack(context).qr(q.view(), tau.column(0), context.allocator, context.stream);
  lapack(context).form_q(q.view(), tau.column(0), context.allocator, context.stream);
  return norms_of(context, rows, [&](std::int64_t first, std::int64_t count) { return q.view().slice(first, count); });
}

std::vector<double> approximate_leverage_scores(const SketchContext& context, const TensorView& a_NC, const ApproximateLeverage& options) {
  require_matrix(a_NC);
  PANTHER_REQUIRE(options.oversampling >= 2 && options.projections >= 0, "approximate_leverage_scores: oversampling must be at least 2 (is ",
                  options.oversampling, ") and projections at least 0 (are ", options.projections, ")");
  if (a_NC.shape[0] <= options.oversampling * a_NC.shape[1]) return leverage_scores(context, a_NC);
  const Matrix x = whitening(context, a_NC, sketched_triangle(context, a_NC, options), options);
  const DType dtype = work_dtype(a_NC);
  const Matrix product = matrix(context, a_NC, kRows, x.columns()), wide = matrix(context, a_NC, a_NC.dtype == dtype ? 0 : kRows, a_NC.shape[1]);
  return norms_of(context, a_NC.shape[0], [&](std::int64_t first, std::int64_t count) {
    TensorView rows = a_NC.slice(first, count);
    if (rows.dtype != dtype) {
      context.kernels.cast(rows, wide.view().slice(0, count), context.stream);
      rows = wide.view().slice(0, count);
    }
    const TensorView part = product.view().slice(0, count);
    context.kernels.gemm(1.0, rows, x.view(), 0.0, part, {}, {}, context.stream);
    return part;
  });
}

}  // namespace panther
