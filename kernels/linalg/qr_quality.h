#pragma once
// What a thin QR achieved, as its result carries it.

namespace panther::linalg {

struct QrQuality {
  double residual = -1;       ///< about ||A P - Q R||_F / ||A||_F; -1: not estimated
  double orthogonality = -1;  ///< about ||Q^T Q - I||_F
};

}  // namespace panther::linalg
