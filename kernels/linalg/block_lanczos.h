#pragma once
// Block Golub-Kahan-Lanczos bidiagonalization with full reorthogonalisation: after j steps of block size b, A V = U T with V (N x jb)
// and U (M x jb) orthonormal and T block upper bidiagonal but for rounding. V spans {(A^T A)^i A^T A S, i < j} for a random S, so the
// singular values of T are the best any polynomial filter of that degree gives (Tropp and Webber, arXiv 2306.12418). rsvd and krylov_svd are
// this with different ends.
//
// A step costs two products of A with b columns; the start costs one sketch of A. Nothing else is O(M N).
#include <vector>

#include "kernels/linalg/arithmetic.h"

namespace panther::linalg {

class PANTHER_KERNELS_API BlockLanczos {
 public:
  /// Sketches A once. `maths` and `a` outlive this. block <= min(rows, columns); at most `steps` steps will be taken.
  BlockLanczos(const Arithmetic& maths, const Input& a, std::int64_t block, int steps, const std::string& sketch_kind);

  /// Bytes that this will hold at its end.
  static double bytes(std::int64_t local_rows, std::int64_t columns, std::int64_t block, int steps, DType dtype);

  /// V grows by a block, and U and T with it. False when no more fits: the factorization is exact but for rounding.
  bool step();

  struct Triplets {
    Matrix left_LL, s_L, right_LL;  ///< of T: singular vectors of A are U left and V right
    std::vector<double> values;     ///< s on the host
  };
  Triplets triplets() const;
  /// ||A^T u_i - s_i v_i|| of the first `count` triplets. Costs half a step, which the next step() does not pay again.
  std::vector<double> residuals(const Triplets& triplets, std::int64_t count);

  TensorView u_ML() const { return left_.columns_from(0, size_); }
  TensorView v_NL() const { return right_.columns_from(0, size_); }
  std::int64_t size() const noexcept { return size_; }
  int steps() const noexcept { return steps_; }
  int passes() const noexcept { return passes_; }

 private:
  void extend_right();  ///< V's next block from A^T times U's last

  const Arithmetic& maths_;
  Context whole_;  ///< of matrices every rank holds
  const Input& a_;
  std::int64_t block_, most_;
  Matrix left_, right_, core_, last_;  ///< last_: U's newest block; before the first step the sketch's basis
  Matrix coupling_;                    ///< A^T last - V V^T A^T last = next coupling_
  std::int64_t size_ = 0, next_ = 0, newest_ = 0;  ///< columns of U; of V beyond those; of U's newest block
  int steps_ = 0, passes_ = 0;
  bool extended_ = false;
};

}  // namespace panther::linalg
