#include "kernels/linear/sketched_linear.h"

#include "core/text.h"
#include "kernels/linear/factors.h"

namespace panther {

using namespace linear;

ValueRows SketchedLinearWeights::u1() const {
  const std::int64_t size = sketch_size();
  return {size, signs == SignStorage::expanded ? q_2RO.slice(0, size) : TensorView{}, signs == SignStorage::bits ? u1_bits_RW : TensorView{}, u1_key};
}

ValueRows SketchedLinearWeights::u2() const {
  const std::int64_t size = sketch_size();
  return {size, signs == SignStorage::expanded ? pt_2RD.slice(size, size) : TensorView{}, signs == SignStorage::bits ? u2_bits_RW : TensorView{}, u2_key};
}

StackedRows SketchedLinearWeights::p() const {
  if (signs == SignStorage::expanded) return {{pt_2RD.shape[0], pt_2RD, {}, {}}, {}};
  return {{sketch_size(), s1_RD(), {}, {}}, u2()};
}

StackedRows SketchedLinearWeights::q() const {
  if (signs == SignStorage::expanded) return {{q_2RO.shape[0], q_2RO, {}, {}}, {}};
  return {u1(), {sketch_size(), s2_RO(), {}, {}}};
}

SignKey sketched_linear_u1_key(std::uint64_t seed, std::string_view path) { return SignKey::of(seed, concat(path, ".u1")); }
SignKey sketched_linear_u2_key(std::uint64_t seed, std::string_view path) { return SignKey::of(seed, concat(path, ".u2")); }

void expand_sketched_linear_signs(const KernelSet& kernels, std::uint64_t seed, std::string_view path, const SketchedLinearWeights& weights,
                                  Stream stream) {
  require_weights(weights);
  const std::int64_t size = weights.sketch_size();
  kernels.sign_expand(sketched_linear_u2_key(seed, path), 0, 0, 1.0, weights.pt_2RD.slice(size, size), stream);
  kernels.sign_expand(sketched_linear_u1_key(seed, path), 0, 0, 1.0, weights.q_2RO.slice(0, size), stream);
}

LinearProblem sketched_linear_problem(const SketchedLinearWeights& weights, std::int64_t rows, LinearPass pass) {
  LinearProblem problem{rows, weights.pt_2RD.shape[1], weights.q_2RO.shape[1], weights.sketch_size(), weights.pt_2RD.dtype};
  problem.pass = pass;
  problem.signs = weights.signs;
  return problem;
}

std::size_t sketched_linear_workspace_bytes(const LinearProblem& p, const LinearChoice& choice) {
  std::size_t bytes = 0;
  const bool library_reads_signs = p.signs != SignStorage::expanded && choice.path != LinearPath::fused;
  if (library_reads_signs) bytes += Scratch::bytes_of(p.dtype, 2 * p.sketch_size, p.inputs) + Scratch::bytes_of(p.dtype, 2 * p.sketch_size, p.outputs);
  if (choice.path != LinearPath::dense) return bytes;
  const std::size_t weight = Scratch::bytes_of(p.dtype, p.inputs, p.outputs);
  return bytes + (p.dense_cached ? 0 : weight) + (p.pass == LinearPass::backward && choice.dense_gradient ? weight : 0);
}

void materialize_sketched_linear(const LinearLaunch& launch, const SketchedLinearWeights& weights, const TensorView& dense_DO) {
  require_weights(weights);
  require_matrix(dense_DO, "dense weight", weights.pt_2RD.shape[1], weights.q_2RO.shape[1]);
  if (weights.signs == SignStorage::expanded) {
    launch.kernels.gemm(weights.alpha, weights.pt_2RD.transposed(), weights.q_2RO, 0.0, dense_DO, {}, launch.workspace, launch.stream);
    return;
  }
  const LinearKernels& table = table_of(launch.kernels);
  // U2 S2 is (S2^T U2^T)^T: signs stand on the right of a product only.
  table.combine(weights.alpha, weights.s1_RD().transposed(), {weights.u1(), {}}, 0.0, dense_DO, {}, launch.workspace, launch.stream);
  table.combine(weights.alpha, weights.s2_RO().transposed(), {weights.u2(), {}}, 1.0, dense_DO.transposed(), {}, launch.workspace, launch.stream);
}

void sketched_linear_forward(const KernelSet& kernels, const SketchedLinearWeights& weights, const TensorView& x_BD, const TensorView& bias_O,
                             const TensorView& h_B2R, const TensorView& y_BO, std::span<std::byte> workspace, Stream stream) {
  require_weights(weights);
  LinearProblem problem = sketched_linear_problem(weights, x_BD.shape[0], LinearPass::forward);
  problem.dense_allowed = false;
  sketched_linear_forward({kernels, workspace, stream}, weights, {x_BD, h_B2R, y_BO, {bias_O, Activation::none, {}}},
                          choose_linear_path(problem, default_calibration(kernels.device)));
}

void sketched_linear_backward(const KernelSet& kernels, const SketchedLinearWeights& weights, const TensorView& x_BD, const TensorView& h2_BR,
                              const TensorView& dy_BO, const TensorView& dh_B2R, const SketchedLinearGradients& gradients,
                              std::span<std::byte> workspace, Stream stream) {
  require_weights(weights);
  LinearProblem problem = sketched_linear_problem(weights, x_BD.shape[0], LinearPass::backward);
  problem.dense_allowed = false;
  problem.needs_dx = gradients.dx_BD.data != nullptr;
  sketched_linear_backward({kernels, workspace, stream}, weights, {x_BD, h2_BR, dy_BO, dh_B2R}, gradients,
                           choose_linear_path(problem, default_calibration(kernels.device)));
}

}  // namespace panther
