#include "kernels/linear/sketched_linear.h"

#include "core/error.h"
#include "core/text.h"

namespace panther {
namespace {

const TensorView kNoBias{};

/// Columns [begin, begin + count) of a matrix.
TensorView columns(const TensorView& view, std::int64_t begin, std::int64_t count) {
  return view.transposed().slice(begin, count).transposed();
}

void require_matrix(const TensorView& view, const char* name, std::int64_t rows, std::int64_t columns) {
  PANTHER_REQUIRE(view.dims == 2 && view.shape[0] == rows && view.shape[1] == columns, "sketched linear: ", name, " must be [", rows, ", ", columns,
                  "], has ", view.dims, " dimensions and starts [", view.shape[0], ", ", view.shape[1], "]");
}

void require_weights(const SketchedLinearWeights& w) {
  PANTHER_REQUIRE(w.pt_2RD.dims == 2 && w.q_2RO.dims == 2 && w.pt_2RD.shape[0] == w.q_2RO.shape[0] && w.pt_2RD.shape[0] % 2 == 0,
                  "sketched linear: pt and q must both have 2 R rows, have ", w.pt_2RD.shape[0], " and ", w.q_2RO.shape[0]);
}

}  // namespace

void sketched_linear_forward(const KernelSet& kernels, const SketchedLinearWeights& weights, const TensorView& x_BD, const TensorView& bias_O,
                             const TensorView& h_B2R, const TensorView& y_BO, std::span<std::byte> workspace, Stream stream) {
  require_weights(weights);
  const std::int64_t rows = x_BD.shape[0], inner = weights.pt_2RD.shape[0];
  require_matrix(x_BD, "x", rows, weights.pt_2RD.shape[1]);
  require_matrix(h_B2R, "h", rows, inner);
  require_matrix(y_BO, "y", rows, weights.q_2RO.shape[1]);
  kernels.gemm(1.0, x_BD, weights.pt_2RD.transposed(), 0.0, h_B2R, kNoBias, workspace, stream);
  kernels.gemm(weights.alpha, h_B2R, weights.q_2RO, 0.0, y_BO, bias_O, workspace, stream);
}

void sketched_linear_backward(const KernelSet& kernels, const SketchedLinearWeights& weights, const TensorView& x_BD, const TensorView& h2_BR,
                              const TensorView& dy_BO, const TensorView& dh_B2R, const SketchedLinearGradients& gradients,
                              std::span<std::byte> workspace, Stream stream) {
  require_weights(weights);
  const std::int64_t rows = x_BD.shape[0], size = weights.sketch_size();
  const std::int64_t inputs = weights.pt_2RD.shape[1], outputs = weights.q_2RO.shape[1];
  require_matrix(x_BD, "x", rows, inputs);
  require_matrix(h2_BR, "h2", rows, size);
  require_matrix(dy_BO, "dy", rows, outputs);
  require_matrix(dh_B2R, "dh", rows, 2 * size);
  require_matrix(gradients.ds1_RD, "ds1", size, inputs);
  require_matrix(gradients.ds2_RO, "ds2", size, outputs);
  const double keep = gradients.accumulate;
  kernels.gemm(weights.alpha, dy_BO, weights.q_2RO.transposed(), 0.0, dh_B2R, kNoBias, workspace, stream);
  // Next to dh, while dy is still in cache; ds2's exchange can then start before ds1 exists.
  kernels.gemm(weights.alpha, h2_BR.transposed(), dy_BO, keep, gradients.ds2_RO, kNoBias, workspace, stream);
  kernels.gemm(1.0, columns(dh_B2R, 0, size).transposed(), x_BD, keep, gradients.ds1_RD, kNoBias, workspace, stream);
  if (gradients.dx_BD.data == nullptr) return;
  require_matrix(gradients.dx_BD, "dx", rows, inputs);
  kernels.gemm(1.0, dh_B2R, weights.pt_2RD, 0.0, gradients.dx_BD, kNoBias, workspace, stream);
}

void expand_sketched_linear_signs(const KernelSet& kernels, std::uint64_t seed, std::string_view path, const SketchedLinearWeights& weights,
                                  Stream stream) {
  require_weights(weights);
  const std::int64_t size = weights.sketch_size();
  kernels.sign_expand(SignKey::of(seed, concat(path, ".u2")), 0, 0, 1.0, weights.pt_2RD.slice(size, size), stream);
  kernels.sign_expand(SignKey::of(seed, concat(path, ".u1")), 0, 0, 1.0, weights.q_2RO.slice(0, size), stream);
}

}  // namespace panther
