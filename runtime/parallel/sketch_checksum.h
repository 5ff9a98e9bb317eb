#pragma once
// A check of exchanged gradients that costs no message: of a sketched layer y = alpha (x S1 U1 + x U2 S2), with D = x^T dy the dense gradient,
//
//   dS1 = alpha D U1^T,  dS2 = alpha U2^T D,  so  U2^T dS1 = dS2 U1^T,
//
// for any batch, and so for the sum over ranks. What was damaged, lost or added twice in one of the two tensors on the way breaks it.
// Two products of R x R results per layer: 2 R^2 (D + O) flops.
#include <torch/nn/module.h>

#include <string>
#include <vector>

#include "runtime/export.h"

namespace panther::runtime {

struct BrokenChecksum {
  std::string layer;
  double residual = 0;     ///< ||U2^T dS1 - dS2 U1^T||_F
  double allowed = 0;
};

/// The sketched layers below `model` whose gradients (those with both) break the identity beyond rounding. `unit`: roundoff of what computed and carried
/// them (2^-24; 2^-8 for bf16). Each sum over D or O of signed entries gathers their independent errors, so the residual of R x R of them is about
/// unit sqrt(R) (||dS1||_F + ||dS2||_F); 256 times that is allowed, because batches cancel.
PANTHER_RUNTIME_API std::vector<BrokenChecksum> broken_checksums(const torch::nn::Module& model, double unit);

}  // namespace panther::runtime
