#pragma once
// The dense factorizations of one device that the randomized algorithms are built of: OpenBLAS's LAPACK on the CPU, cuBLAS and
// cuSOLVER on CUDA. Algorithms reach them through KernelSet::lapack.
//
// All entries: f32 or f64, one dtype per call unless said; matrices are column-major (strides[0] == 1, strides[1] >= rows) and may be
// blocks of larger ones; sizes may be 0. Scratch comes from the allocator. Entries that return a value wait for the stream.
#include <cstdint>
#include <span>

#include "kernels/allocator.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther {

enum class Side : std::uint8_t { left, right };

struct LapackKernels {
  /// c = alpha a b + beta c at the accuracy of the dtype (for finite numbers well within its range), beta == 0 never reading c, where this device has
  /// something faster than its gemm for a large a with a narrow b. False, with nothing touched, where it has not; null on devices that never have.
  bool (*narrow_product)(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, Allocator& allocator,
                         Stream stream) = nullptr;

  /// g_NN = a_MN^T a_MN, both triangles written. g may be f64 where a is f32 (products and sums then in f64).
  void (*gram)(const TensorView& a_MN, const TensorView& g_NN, Allocator& allocator, Stream stream) = nullptr;

  /// b = alpha op(T)^-1 b (left) or alpha b op(T)^-1 (right) with T the upper triangle of t_NN.
  void (*solve_upper)(Side side, bool transpose, double alpha, const TensorView& t_NN, const TensorView& b, Allocator& allocator, Stream stream) = nullptr;
  /// b_MN = b R^-1, R the upper triangle of r_NN as QR with column pivoting leaves it: no entry of a row exceeds its diagonal by much, so a device may
  /// multiply with inverses of diagonal blocks. For other triangles, solve_upper.
  void (*divide_by_pivoted)(const TensorView& r_NN, const TensorView& b_MN, Allocator& allocator, Stream stream) = nullptr;
  /// b = op(T) b (left) or b op(T) (right), T the upper triangle of t_NN.
  void (*multiply_upper)(Side side, bool transpose, const TensorView& t_NN, const TensorView& b, Allocator& allocator, Stream stream) = nullptr;

  /// The upper triangle of a_NN becomes R with R^T R = a (only the upper triangle is read; below the diagonal is left as it is).
  /// Returns 0, or the order of the first leading minor that is not positive definite.
  std::int64_t (*cholesky)(const TensorView& a_NN, Allocator& allocator, Stream stream) = nullptr;

  /// Householder QR, GEQRF's format: R in the upper triangle, reflectors below, tau_K with K = min(M, N).
  void (*qr)(const TensorView& a_MN, const TensorView& tau_K, Allocator& allocator, Stream stream) = nullptr;
  /// With column pivoting, GEQP3's format: a P = Q R and column j of a P is column pivots_N[j] (0-based, i64, on the HOST) of a.
  /// On CUDA a matrix beyond the multiprocessors' shared memory (some 25 MB) is factored on the host: give it small ones.
  void (*qr_pivoted)(const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots_N, Allocator& allocator, Stream stream) = nullptr;
  /// The first K steps of qr_pivoted alone, K the length of tau (at most min(M, N)): columns that found no place have the reflectors applied, and what is
  /// left of them stands from row K on. At most 2 K columns change place. False, with nothing touched, where the matrix is too large for it; null where
  /// LU picks columns as fast.
  bool (*lead_pivots)(const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots_N, Allocator& allocator, Stream stream) = nullptr;
  /// b = op(Q) b from the left, Q of `factored_MK` and tau_K as qr leaves them.
  void (*multiply_q)(bool transpose, const TensorView& factored_MK, const TensorView& tau_K, const TensorView& b_MC, Allocator& allocator,
                     Stream stream) = nullptr;
  /// The first N columns of Q over factored_MN (M >= N >= K).
  void (*form_q)(const TensorView& factored_MN, const TensorView& tau_K, Allocator& allocator, Stream stream) = nullptr;
  /// Turns a thin QR into GEQRF's format. q_MN has orthonormal columns (M >= N), r_NN is upper triangular: on return the reflectors stand below
  /// the diagonal of q_MN and D r in its upper triangle with signs D, such that q r = H_1 ... H_N [D r; 0]; tau_N; and t_NN, upper triangular with
  /// zeros below, so that H_1 ... H_N = I - V T V^T (LAPACK's orhr_col: LU without pivoting of q - D, which is stable for orthonormal q).
  void (*reconstruct_q)(const TensorView& q_MN, const TensorView& r_NN, const TensorView& tau_N, const TensorView& t_NN, Allocator& allocator,
                        Stream stream) = nullptr;
  /// LU with partial pivoting in place, GETRF's format; row i was swapped with row swaps_K[i] (0-based, host). Singular is allowed.
  void (*lu)(const TensorView& a_MN, std::span<std::int64_t> swaps_K, Allocator& allocator, Stream stream) = nullptr;

  /// a = U diag(s) V^T, thin: u_MK, s_K descending, vt_KN with K = min(M, N). a is destroyed. u and vt may be empty (data == nullptr) together:
  /// singular values only. Throws Internal when it does not converge.
  void (*svd)(const TensorView& a_MN, const TensorView& u_MK, const TensorView& s_K, const TensorView& vt_KN, Allocator& allocator, Stream stream) = nullptr;
  /// Symmetric a_NN (upper triangle read) = V diag(w) V^T, w_N ascending; V over a.
  void (*eigh)(const TensorView& a_NN, const TensorView& w_N, Allocator& allocator, Stream stream) = nullptr;

  /// destination[:, j] = source[:, columns[j]]; no overlap. columns on the host.
  void (*gather_columns)(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, Allocator& allocator,
                         Stream stream) = nullptr;
  /// destination[:, columns[j]] = source[:, j]; no overlap; no column twice. columns on the host.
  void (*scatter_columns)(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, Allocator& allocator,
                          Stream stream) = nullptr;
  /// norms_N[j] = ||a[:, j]||^2 in f64, fixed order, no overflow below the square root of f64's range.
  void (*column_norms)(const TensorView& a_MN, const TensorView& squares_N, Stream stream) = nullptr;
  /// a_MN = value off the diagonal and `diagonal` on it (LASET); part: 'A' all, 'L' strictly below, 'U' strictly above (diagonal untouched for L, U).
  void (*fill)(char part, double value, double diagonal, const TensorView& a_MN, Stream stream) = nullptr;
  /// True when no element is nan or infinite.
  bool (*all_finite)(const TensorView& a_MN, Allocator& allocator, Stream stream) = nullptr;
};

}  // namespace panther
