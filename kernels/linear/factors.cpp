#include "kernels/linear/factors.h"

#include <memory>

#include "core/error.h"

namespace panther::linear {
namespace {

const TensorView kNoBias{};

bool is_stored(const StackedRows& rows) { return rows.bottom.rows == 0 && rows.top.stored_NL.data != nullptr; }

/// The library's product knows a bias; more is the table's work.
bool needs_table(const LinearEpilogue& epilogue) { return epilogue.activation != Activation::none || epilogue.aux_BO.data != nullptr; }

}  // namespace

void require_matrix(const TensorView& view, const char* name, std::int64_t rows, std::int64_t columns) {
  PANTHER_REQUIRE(view.dims == 2 && view.shape[0] == rows && view.shape[1] == columns, "sketched linear: ", name, " must be [", rows, ", ", columns,
                  "], has ", view.dims, " dimensions and starts [", view.shape[0], ", ", view.shape[1], "]");
}

void require_weights(const SketchedLinearWeights& w) {
  const bool expanded = w.signs == SignStorage::expanded;
  PANTHER_REQUIRE(w.pt_2RD.dims == 2 && w.q_2RO.dims == 2 && w.pt_2RD.shape[0] == w.q_2RO.shape[0] && (!expanded || w.pt_2RD.shape[0] % 2 == 0),
                  "sketched linear: pt and q must both have ", expanded ? "2 R" : "R", " rows, have ", w.pt_2RD.shape[0], " and ", w.q_2RO.shape[0]);
  PANTHER_REQUIRE(w.pt_2RD.dtype == w.q_2RO.dtype, "sketched linear: pt is ", dtype_name(w.pt_2RD.dtype), " and q is ", dtype_name(w.q_2RO.dtype));
}

const LinearKernels& table_of(const KernelSet& kernels) {
  if (kernels.linear == nullptr) fail(ErrorCode::Unsupported, "sketched linear: the ", kernels.name, " kernels have no table for linear layers");
  return *kernels.linear;
}

std::size_t Scratch::bytes_of(DType dtype, std::int64_t rows, std::int64_t columns) {
  return (static_cast<std::size_t>(rows * columns) * size_of(dtype) + 255) / 256 * 256 + 256;
}

TensorView Scratch::matrix(DType dtype, Device device, std::int64_t rows, std::int64_t columns) {
  void* start = memory_.data();
  std::size_t left = memory_.size();
  const std::size_t bytes = static_cast<std::size_t>(rows * columns) * size_of(dtype);
  const bool fits = start != nullptr && std::align(256, bytes, start, left) != nullptr;
  PANTHER_REQUIRE(fits, "sketched linear: the workspace of ", memory_.size(), " bytes is too small for ", dtype_name(dtype), "[", rows, ", ", columns,
                  "]; ask sketched_linear_workspace_bytes()");
  memory_ = memory_.subspan(memory_.size() - left + bytes);
  return TensorView(start, dtype, {rows, columns}, device);
}

TensorView stored_factor(const LinearLaunch& launch, const StackedRows& rows, std::int64_t length, DType dtype, Scratch& scratch) {
  if (is_stored(rows)) return rows.top.stored_NL;
  const TensorView out = scratch.matrix(dtype, {launch.kernels.device, 0}, rows.rows(), length);
  table_of(launch.kernels).expand_rows(1.0, rows, out, launch.stream);
  return out;
}

void project(const LinearLaunch& launch, bool own, double alpha, const TensorView& x_BL, const StackedRows& rows_NL, double beta, const TensorView& out_BN,
             Scratch scratch) {
  if (own) return table_of(launch.kernels).project(alpha, x_BL, rows_NL, beta, out_BN, scratch.rest(), launch.stream);
  const TensorView factor = stored_factor(launch, rows_NL, x_BL.shape[1], x_BL.dtype, scratch);
  launch.kernels.gemm(alpha, x_BL, factor.transposed(), beta, out_BN, kNoBias, scratch.rest(), launch.stream);
}

void combine(const LinearLaunch& launch, bool own, double alpha, const TensorView& h_BN, const StackedRows& rows_NL, double beta, const TensorView& out_BL,
             const LinearEpilogue& epilogue, Scratch scratch) {
  // A device's table does activations in its own way; on the CPU the rows it makes are still in cache when it activates them.
  if (own || needs_table(epilogue)) {
    return table_of(launch.kernels).combine(alpha, h_BN, rows_NL, beta, out_BL, epilogue, scratch.rest(), launch.stream);
  }
  const TensorView factor = stored_factor(launch, rows_NL, out_BL.shape[1], out_BL.dtype, scratch);
  launch.kernels.gemm(alpha, h_BN, factor, beta, out_BL, epilogue.bias_O, scratch.rest(), launch.stream);
}

void reduce(const LinearLaunch& launch, bool own, double alpha, const TensorView& a_BN, const TensorView& b_BL, double beta, const TensorView& out_NL,
            Scratch scratch) {
  if (own) return table_of(launch.kernels).reduce(alpha, a_BN, b_BL, beta, out_NL, scratch.rest(), launch.stream);
  launch.kernels.gemm(alpha, a_BN.transposed(), b_BL, beta, out_NL, kNoBias, scratch.rest(), launch.stream);
}

}  // namespace panther::linear
