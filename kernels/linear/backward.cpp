#include "core/error.h"
#include "kernels/linear/factors.h"

namespace panther {

using namespace linear;

namespace {

/// dz: dy itself without an activation. The bias gradient comes from the same pass over dy.
TensorView gradient_before_activation(const LinearLaunch& launch, const SketchedLinearBackward& call, const SketchedLinearGradients& gradients) {
  const bool activated = call.activation != Activation::none, biased = gradients.dbias_O.data != nullptr;
  if (activated) require_matrix(call.dz_BO, "dz", call.dy_BO.shape[0], call.dy_BO.shape[1]);
  if (activated || biased) {
    table_of(launch.kernels)
        .activation_backward({call.activation, call.dy_BO, call.aux_BO, activated ? call.dz_BO : TensorView{}, gradients.dbias_O, gradients.accumulate},
                             launch.stream);
  }
  return activated ? call.dz_BO : call.dy_BO;
}

/// What the dense path computes without W: three thin products, dS1 through dH1 = alpha dZ U1^T.
void thin_gradients(const LinearLaunch& launch, const SketchedLinearWeights& weights, const SketchedLinearBackward& call, const TensorView& dz,
                    const SketchedLinearGradients& gradients, Scratch scratch) {
  const std::int64_t size = weights.sketch_size();
  const TensorView dh1 = columns(call.dh_B2R, 0, size);
  project(launch, weights.signs != SignStorage::expanded, weights.alpha, dz, {weights.u1(), {}}, 0.0, dh1, scratch);
  reduce(launch, false, weights.alpha, call.h2_BR, dz, gradients.accumulate, gradients.ds2_RO, scratch);
  reduce(launch, false, 1.0, dh1, call.x_BD, gradients.accumulate, gradients.ds1_RD, scratch);
}

/// dS1^T = alpha dW U1^T and dS2^T = alpha dW^T U2 with dW = X^T dZ.
void gradients_of_dense(const LinearLaunch& launch, const SketchedLinearWeights& weights, const SketchedLinearBackward& call, const TensorView& dz,
                        const SketchedLinearGradients& gradients, Scratch scratch) {
  const TensorView dw = scratch.matrix(dz.dtype, dz.device, call.x_BD.shape[1], dz.shape[1]);
  const bool own = weights.signs != SignStorage::expanded;
  reduce(launch, false, 1.0, call.x_BD, dz, 0.0, dw, scratch);
  project(launch, own, weights.alpha, dw, {weights.u1(), {}}, gradients.accumulate, gradients.ds1_RD.transposed(), scratch);
  project(launch, own, weights.alpha, dw.transposed(), {weights.u2(), {}}, gradients.accumulate, gradients.ds2_RO.transposed(), scratch);
}

void backward_dense(const LinearLaunch& launch, const SketchedLinearWeights& weights, const SketchedLinearBackward& call, const TensorView& dz,
                    const SketchedLinearGradients& gradients, const LinearChoice& choice) {
  if (choice.dense_gradient) {
    gradients_of_dense(launch, weights, call, dz, gradients, Scratch(launch.workspace));
  } else {
    thin_gradients(launch, weights, call, dz, gradients, Scratch(launch.workspace));
  }
  if (gradients.dx_BD.data == nullptr) return;
  Scratch scratch(launch.workspace);
  TensorView dense = call.dense_DO;
  if (dense.data == nullptr) {
    dense = scratch.matrix(dz.dtype, dz.device, call.x_BD.shape[1], dz.shape[1]);
    materialize_sketched_linear({launch.kernels, scratch.rest(), launch.stream}, weights, dense);
  }
  launch.kernels.gemm(1.0, dz, dense.transposed(), 0.0, gradients.dx_BD, {}, scratch.rest(), launch.stream);
}

void require_call(const SketchedLinearWeights& weights, const SketchedLinearBackward& call, const SketchedLinearGradients& gradients,
                  const LinearChoice& choice) {
  require_weights(weights);
  const std::int64_t rows = call.x_BD.shape[0], size = weights.sketch_size();
  const std::int64_t inputs = weights.pt_2RD.shape[1], outputs = weights.q_2RO.shape[1];
  const bool through_dw = choice.path == LinearPath::dense && choice.dense_gradient;
  require_matrix(call.x_BD, "x", rows, inputs);
  if (!through_dw) require_matrix(call.h2_BR, "h2", rows, size);
  require_matrix(call.dy_BO, "dy", rows, outputs);
  if (!through_dw) require_matrix(call.dh_B2R, "dh", rows, 2 * size);
  require_matrix(gradients.ds1_RD, "ds1", size, inputs);
  require_matrix(gradients.ds2_RO, "ds2", size, outputs);
  if (gradients.dx_BD.data != nullptr) require_matrix(gradients.dx_BD, "dx", rows, inputs);
}

}  // namespace

void sketched_linear_backward(const LinearLaunch& launch, const SketchedLinearWeights& weights, const SketchedLinearBackward& call,
                              const SketchedLinearGradients& gradients, const LinearChoice& choice) {
  require_call(weights, call, gradients, choice);
  const TensorView dz = gradient_before_activation(launch, call, gradients);
  if (choice.path == LinearPath::dense) return backward_dense(launch, weights, call, dz, gradients, choice);
  const std::array<bool, 4> own = choice.path == LinearPath::fused ? std::array<bool, 4>{true, true, true, true} : choice.own;
  const double keep = gradients.accumulate;
  const Scratch scratch(launch.workspace);
  project(launch, own[0], weights.alpha, dz, weights.q(), 0.0, call.dh_B2R, scratch);
  // Next to dh, while dz is still in cache; ds2's exchange can then start before ds1 exists.
  reduce(launch, own[1], weights.alpha, call.h2_BR, dz, keep, gradients.ds2_RO, scratch);
  reduce(launch, own[2], 1.0, columns(call.dh_B2R, 0, weights.sketch_size()), call.x_BD, keep, gradients.ds1_RD, scratch);
  if (gradients.dx_BD.data == nullptr) return;
  combine(launch, own[3], 1.0, call.dh_B2R, weights.p(), 0.0, gradients.dx_BD, {}, scratch);
}

}  // namespace panther
