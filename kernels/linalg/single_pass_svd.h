#pragma once
// SVD of a matrix that is seen once, a few rows at a time: larger than memory, or streamed (Tropp, Yurtsever, Udell, Cevher, arXiv 1609.00048).
//
// Kept: Y = A Omega^T (M x k'), W = Psi A (l' x N) and a test sketch T = Theta A (t x N), all linear in A, so rows may come in any order and on
// any rank. Then Q = orth(Y), X = (Psi Q)^+ W and A ~ Q X, with E||A - Q X||_F^2 <= (1 + f)(1 + f') tail^2, f = r/(k' - r - 1),
// f' = k'/(l' - k' - 1) for every r < k' - 1. Memory: M k' + (l' + t) N entries.
#include <memory>
#include <string>

#include "kernels/linalg/context.h"
#include "kernels/linalg/svd_result.h"

namespace panther::linalg {

struct SinglePassOptions {
  std::int64_t rank = 0;           ///< k of the result
  std::int64_t range_size = 0;     ///< k'; 0: 2 k + 1, or what fits
  std::int64_t corange_size = 0;   ///< l'; 0: 2 k' + 1, or what fits
  std::int64_t test_size = 10;     ///< t: the error estimate's relative standard deviation is at most sqrt(1/(2 t)); 0: no estimate
  std::string sketch = "gaussian";
};

class PANTHER_KERNELS_API SinglePassSvd {
 public:
  /// Of a context.total_rows x columns matrix of which this rank adds rows within [context.first_row, context.first_row + local_rows).
  /// Everything is kept on `device`. Throws InvalidArgument for sizes that cannot be, OutOfMemory with the estimate beforehand.
  SinglePassSvd(const Context& context, DType dtype, Device device, std::int64_t local_rows, std::int64_t columns, const SinglePassOptions& options);
  ~SinglePassSvd();
  SinglePassSvd(SinglePassSvd&&) noexcept;

  /// Rows [first_row, first_row + rows.shape[0]) of the whole matrix, any strides, of the dtype and on the device. Every row once: throws
  /// InvalidArgument for rows outside this rank's share, rows already added, nan or inf (then nothing of the block is kept).
  void add_rows(std::int64_t first_row, const TensorView& rows);
  std::int64_t rows_added() const noexcept;

  /// Once, when all rows of all ranks are in (else InvalidArgument naming the first missing one). relative_error is sampled: an estimate
  /// of ||A - U S V^T||_F / ||A||_F from the test sketch.
  SvdResult finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The same for a matrix at hand.
PANTHER_KERNELS_API SvdResult single_pass_svd(const Context& context, const TensorView& a_MN, const SinglePassOptions& options);

}  // namespace panther::linalg
