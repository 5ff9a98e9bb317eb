#include "core/error.h"
#include "kernels/linear/factors.h"

namespace panther {

using namespace linear;

namespace {

void forward_dense(const LinearLaunch& launch, const SketchedLinearWeights& weights, const SketchedLinearForward& call) {
  Scratch scratch(launch.workspace);
  TensorView dense = call.dense_DO;
  if (dense.data == nullptr) {
    dense = scratch.matrix(call.x_BD.dtype, call.x_BD.device, call.x_BD.shape[1], call.y_BO.shape[1]);
    materialize_sketched_linear({launch.kernels, scratch.rest(), launch.stream}, weights, dense);
  }
  const StackedRows w{{dense.shape[0], dense, {}, {}}, {}};
  combine(launch, false, 1.0, call.x_BD, w, 0.0, call.y_BO, call.epilogue, scratch);
  if (call.h_B2R.data == nullptr) return;
  const std::int64_t size = weights.sketch_size();
  project(launch, weights.signs != SignStorage::expanded, 1.0, call.x_BD, {weights.u2(), {}}, 0.0, columns(call.h_B2R, size, size), scratch);
}

}  // namespace

void sketched_linear_forward(const LinearLaunch& launch, const SketchedLinearWeights& weights, const SketchedLinearForward& call,
                             const LinearChoice& choice) {
  require_weights(weights);
  const std::int64_t rows = call.x_BD.shape[0];
  require_matrix(call.x_BD, "x", rows, weights.pt_2RD.shape[1]);
  if (choice.path != LinearPath::dense || call.h_B2R.data != nullptr) require_matrix(call.h_B2R, "h", rows, 2 * weights.sketch_size());
  require_matrix(call.y_BO, "y", rows, weights.q_2RO.shape[1]);
  if (choice.path == LinearPath::dense) return forward_dense(launch, weights, call);
  if (choice.path == LinearPath::fused) {
    table_of(launch.kernels)
        .fused_forward(weights.alpha, call.x_BD, weights.p(), weights.q(), call.h_B2R, call.y_BO, call.epilogue, launch.workspace, launch.stream);
    return;
  }
  const Scratch scratch(launch.workspace);
  project(launch, choice.own[0], 1.0, call.x_BD, weights.p(), 0.0, call.h_B2R, scratch);
  combine(launch, choice.own[1], weights.alpha, call.h_B2R, weights.q(), 0.0, call.y_BO, call.epilogue, scratch);
}

}  // namespace panther
