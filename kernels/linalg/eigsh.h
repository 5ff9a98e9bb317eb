#pragma once
// The eigenpairs of largest magnitude of a symmetric matrix, by randomized block Krylov (REVD).
#include <string>

#include "kernels/linalg/nystrom.h"

namespace panther::linalg {

struct EigshOptions {
  std::int64_t rank = 0;
  std::int64_t block = 0;     ///< 0: rank + 10
  double tolerance = 1e-8;    ///< on every ||A v - w v|| / |w_1|; at least 16 u is asked for
  int most_steps = 32;        ///< products of A with `block` columns
  std::string sketch = "gaussian";
};

/// V diag(w) V^T of the compression of A to [S, A S, A^2 S, ...], orthonormalised step by step; the residual ||A v - w v|| is explicit. Memory 2 n block
/// per step; messages when split: one n x block sum per step. Throws as nystrom does, but takes indefinite matrices.
PANTHER_KERNELS_API EigenResult eigsh(const Context& context, const TensorView& a_NN, const EigshOptions& options);

}  // namespace panther::linalg
