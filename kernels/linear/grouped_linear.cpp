#include "kernels/linear/grouped_linear.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/linear/factors.h"

namespace panther {

using namespace linear;

namespace {

bool expanded(const GroupedWeights& w) { return w.signs == SignStorage::expanded; }

/// [S1_1 ; ... ; S1_n ; U2^T] as rows.
StackedRows factor_of_x(const GroupedWeights& w) {
  if (expanded(w)) return {{w.pt_GD.shape[0], w.pt_GD, {}, {}}, {}};
  return {{w.pt_GD.shape[0], w.pt_GD, {}, {}}, {w.sketch_size(), {}, w.signs == SignStorage::bits ? w.u2_bits_RW : TensorView{}, w.u2_key}};
}

TensorView s2_of(const GroupedWeights& w, std::size_t i) {
  const std::int64_t size = w.sketch_size();
  return expanded(w) ? w.q_2RO[i].slice(size, size) : w.q_2RO[i];
}

ValueRows u1_of(const GroupedWeights& w, std::size_t i) {
  const std::int64_t size = w.sketch_size();
  return {size, expanded(w) ? w.q_2RO[i].slice(0, size) : TensorView{}, w.signs == SignStorage::bits ? w.u1_bits_RW[i] : TensorView{},
          w.signs == SignStorage::seed ? w.u1_keys[i] : SignKey{}};
}

StackedRows q_of(const GroupedWeights& w, std::size_t i) {
  const std::int64_t size = w.sketch_size();
  if (expanded(w)) return {{2 * size, w.q_2RO[i], {}, {}}, {}};
  return {u1_of(w, i), {size, w.q_2RO[i], {}, {}}};
}

void require_group(const GroupedWeights& w) {
  const std::int64_t n = w.consumers(), parts = expanded(w) ? n + 1 : n;
  PANTHER_REQUIRE(n >= 1, "grouped linear: no consumers");
  PANTHER_REQUIRE(w.pt_GD.dims == 2 && w.pt_GD.shape[0] % parts == 0, "grouped linear: pt must have ", parts, " R rows for ", n, " consumers, has ",
                  w.pt_GD.shape[0]);
  PANTHER_REQUIRE(std::ssize(w.alpha) == n, "grouped linear: ", n, " consumers but ", w.alpha.size(), " alphas");
  PANTHER_REQUIRE(w.signs != SignStorage::bits || std::ssize(w.u1_bits_RW) == n, "grouped linear: ", n, " consumers but bits of ", w.u1_bits_RW.size());
  PANTHER_REQUIRE(w.signs != SignStorage::seed || std::ssize(w.u1_keys) == n, "grouped linear: ", n, " consumers but ", w.u1_keys.size(), " keys");
  for (const TensorView& q : w.q_2RO) require_matrix(q, "q", (expanded(w) ? 2 : 1) * w.sketch_size(), q.shape[1]);
}

void require_outputs(const char* what, std::span<const TensorView> views, const GroupedWeights& w, std::int64_t rows) {
  PANTHER_REQUIRE(std::ssize(views) == w.consumers(), "grouped linear: ", w.consumers(), " consumers but ", views.size(), " ", what);
  for (std::size_t i = 0; i < views.size(); ++i) require_matrix(views[i], what, rows, w.q_2RO[i].shape[1]);
}

}  // namespace

std::size_t grouped_linear_workspace_bytes(const GroupedWeights& w, bool own) {
  if (own || expanded(w)) return 0;
  std::int64_t outputs = 0;
  for (const TensorView& q : w.q_2RO) outputs = std::max(outputs, q.shape[1]);
  const std::int64_t size = w.sketch_size();
  return Scratch::bytes_of(w.pt_GD.dtype, w.pt_GD.shape[0] + size, w.pt_GD.shape[1]) + Scratch::bytes_of(w.pt_GD.dtype, 2 * size, outputs);
}

void grouped_linear_forward(const LinearLaunch& launch, const GroupedWeights& weights, const GroupedForward& call, bool own) {
  require_group(weights);
  const std::int64_t rows = call.x_BD.shape[0], n = weights.consumers(), size = weights.sketch_size();
  require_matrix(call.x_BD, "x", rows, weights.pt_GD.shape[1]);
  require_matrix(call.h_BG, "h", rows, (n + 1) * size);
  require_outputs("y", call.y_BO, weights, rows);
  PANTHER_REQUIRE(call.epilogues.empty() || std::ssize(call.epilogues) == n, "grouped linear: ", n, " consumers but ", call.epilogues.size(), " epilogues");
  const Scratch scratch(launch.workspace);
  project(launch, own, 1.0, call.x_BD, factor_of_x(weights), 0.0, call.h_BG, scratch);
  // The last consumer's X S1 stands beside X U2. The others take its place in turn: B x R copied instead of a second product into y.
  const TensorView beside = columns(call.h_BG, (n - 1) * size, size), both = columns(call.h_BG, (n - 1) * size, 2 * size);
  for (std::int64_t i = n - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    if (i < n - 1) launch.kernels.cast(columns(call.h_BG, i * size, size), beside, launch.stream);
    combine(launch, own, weights.alpha[at], both, q_of(weights, at), 0.0, call.y_BO[at], call.epilogues.empty() ? LinearEpilogue{} : call.epilogues[at],
            scratch);
  }
}

void grouped_linear_backward(const LinearLaunch& launch, const GroupedWeights& weights, const GroupedBackward& call, const GroupedGradients& gradients,
                             bool own) {
  require_group(weights);
  const std::int64_t rows = call.x_BD.shape[0], n = weights.consumers(), size = weights.sketch_size();
  require_matrix(call.x_BD, "x", rows, weights.pt_GD.shape[1]);
  require_matrix(call.h2_BR, "h2", rows, size);
  require_matrix(call.dh_BG, "dh", rows, (n + 1) * size);
  require_outputs("dz", call.dz_BO, weights, rows);
  PANTHER_REQUIRE(std::ssize(gradients.ds1_RD) == n && std::ssize(gradients.ds2_RO) == n, "grouped linear: ", n, " consumers but ", gradients.ds1_RD.size(),
                  " ds1 and ", gradients.ds2_RO.size(), " ds2");
  const Scratch scratch(launch.workspace);
  const TensorView dh2 = columns(call.dh_BG, n * size, size);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const TensorView dh1 = columns(call.dh_BG, i * size, size);
    project(launch, own, weights.alpha[at], call.dz_BO[at], {u1_of(weights, at), {}}, 0.0, dh1, scratch);
    project(launch, own, weights.alpha[at], call.dz_BO[at], {{size, s2_of(weights, at), {}, {}}, {}}, i == 0 ? 0.0 : 1.0, dh2, scratch);
    reduce(launch, own, weights.alpha[at], call.h2_BR, call.dz_BO[at], gradients.accumulate, gradients.ds2_RO[at], scratch);
    reduce(launch, own, 1.0, dh1, call.x_BD, gradients.accumulate, gradients.ds1_RD[at], scratch);
  }
  if (gradients.dx_BD.data == nullptr) return;
  require_matrix(gradients.dx_BD, "dx", rows, weights.pt_GD.shape[1]);
  combine(launch, own, 1.0, call.dh_BG, factor_of_x(weights), 0.0, gradients.dx_BD, {}, scratch);
}

}  // namespace panther
