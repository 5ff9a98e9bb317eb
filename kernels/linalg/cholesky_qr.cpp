#include "kernels/linalg/cholesky_qr.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace panther::linalg {
namespace {

constexpr int kMostPasses = 6;
// Pivoting alone spreads the diagonal to 3..4 (sketch of 1.25 n rows), so nothing below 10 means anything; at 50, u cond^2 is about u^0.75 in f64.
constexpr double kSpreadForOnePass = 50;
constexpr std::int64_t kManyRows = 16384, kPanelRows = 65536;

class Passes {
 public:
  Passes(const Context& context, const TensorView& q_MK)
      : context_(context), lapack_(lapack_of(context)), q_(q_MK), size_(q_MK.shape[1]), gram_(make_matrix(context, q_MK, DType::f64, size_, size_)) {}

  CholeskyQr run() {
    result_.rank = size_;
    if (size_ == 0) return finish();
    for (result_.passes = 1;; ++result_.passes) {
      sum_gram();
      const std::int64_t failed = factor();
      if (failed != 0 && result_.passes >= kMostPasses) {
        truncate(failed - 1);
        return finish();
      }
      if (failed != 0) shift();
      const double spread = divide();
      if (failed == 0 && (spread <= kSpreadForOnePass || result_.passes >= kMostPasses)) return finish();
    }
  }

 private:
  void sum_gram() {
    lapack_.gram(q_, gram_.view(), context_.allocator, context_.stream);
    sum_over_ranks(context_, gram_.view());
  }

  /// In place; what cholesky destroys is kept for a shift.
  std::int64_t factor() {
    kept_ = copy_of(context_, gram_.view());
    return lapack_.cholesky(gram_.view(), context_.allocator, context_.stream);
  }

  /// 11 (m k + k (k + 1)) u ||A||_2^2, with the trace in place of the squared norm: never smaller, at most k times larger.
  void shift() {
    result_.shifted = true;
    const std::vector<double> entries = to_host(context_, diagonal(kept_.view(), size_));
    double trace = 0;
    for (const double entry : entries) trace += entry;
    const auto rows = static_cast<double>(context_.rows_of(q_)), columns = static_cast<double>(size_);
    const double amount = std::max(11.0 * (rows * columns + columns * (columns + 1)) * 0x1p-53, 4 * unit_roundoff(q_.dtype) * unit_roundoff(q_.dtype)) * trace;
    Matrix raised = make_matrix(context_, q_, DType::f64, size_, size_);
    lapack_.fill('A', 0, amount > 0 ? amount : 1, raised.view(), context_.stream);
    const std::array from{kept_.view().transposed(), raised.view().transposed()};
    context_.kernels.packed_sum(from, gram_.view().transposed(), context_.stream);
    const std::int64_t failed = lapack_.cholesky(gram_.view(), context_.allocator, context_.stream);
    PANTHER_CHECK(failed == 0, "the shifted Gram matrix of ", size_, " columns is not positive definite at column ", failed - 1);
  }

  /// q = q R^-1 and r = R r; gives the spread of R's diagonal.
  double divide() {
    lapack_.fill('L', 0, 0, gram_.view(), context_.stream);
    const double spread = spread_of_diagonal();
    if (spread <= kSpreadForOnePass && context_.kernels.device == DeviceKind::cuda && q_.shape[0] >= kManyRows) multiply_by_inverse();
    else solve(size_);
    if (result_.r_KK.empty()) {
      result_.r_KK = copy_of(context_, gram_.view());
    } else {
      lapack_.multiply_upper(Side::left, false, gram_.view(), result_.r_KK.view(), context_.allocator, context_.stream);
    }
    return spread;
  }

  double spread_of_diagonal() {
    const std::vector<double> entries = to_host(context_, diagonal(gram_.view(), size_));
    const auto [least, most] = std::minmax_element(entries.begin(), entries.end());
    return *least > 0 ? *most / *least : INFINITY;
  }

  /// q = q R^-1 as products, for a well-conditioned R: cuBLAS' triangular solve of many rows reaches a fifth of its products' rate (H200, f64). A panel
  /// of rows at a time; the left half of its columns needs the left half of R^-1 only.
  void multiply_by_inverse() {
    Matrix inverse = make_matrix(context_, q_, DType::f64, size_, size_);
    lapack_.fill('A', 0, 1, inverse.view(), context_.stream);
    lapack_.solve_upper(Side::left, false, 1, gram_.view(), inverse.view(), context_.allocator, context_.stream);
    const Matrix narrow = copy_of(context_, inverse.view(), q_.dtype);
    const std::int64_t panel = std::min(kPanelRows, q_.shape[0]), half = (size_ + 1) / 2;
    const Matrix product = make_matrix(context_, q_, panel, size_);
    for (std::int64_t first = 0; first < q_.shape[0]; first += panel) {
      const std::int64_t rows = std::min(panel, q_.shape[0] - first);
      const TensorView old = q_.slice(first, rows), made = product.view().slice(0, rows);
      if (half < size_) {
        context_.kernels.gemm(1, old, columns(narrow.view(), half, size_ - half), 0, columns(made, half, size_ - half), {}, {}, context_.stream);
      }
      context_.kernels.gemm(1, columns(old, 0, half), block(narrow.view(), 0, half, 0, half), 0, columns(made, 0, half), {}, {}, context_.stream);
      context_.kernels.cast(made, old, context_.stream);
    }
  }

  void solve(std::int64_t count) {
    const TensorView triangle = block(gram_.view(), 0, count, 0, count), q = columns(q_, 0, count);
    if (q_.dtype == DType::f64) return lapack_.solve_upper(Side::right, false, 1, triangle, q, context_.allocator, context_.stream);
    const Matrix narrow = copy_of(context_, triangle, q_.dtype);
    lapack_.solve_upper(Side::right, false, 1, narrow.view(), q, context_.allocator, context_.stream);
  }

  /// The leading minor before the failing one is positive definite. What a failed factorization leaves is not promised by every library, so the
  /// minor is factored again; in other blocks rounding may stop it earlier.
  void truncate(std::int64_t rank) {
    for (std::int64_t failed = 1; rank > 0 && failed != 0; rank = failed != 0 ? failed - 1 : rank) {
      const TensorView minor = block(gram_.view(), 0, rank, 0, rank);
      context_.kernels.cast(block(kept_.view(), 0, rank, 0, rank), minor, context_.stream);
      failed = lapack_.cholesky(minor, context_.allocator, context_.stream);
    }
    result_.rank = rank;
    lapack_.fill('L', 0, 0, gram_.view(), context_.stream);
    solve(rank);
    const Matrix top = copy_of(context_, block(gram_.view(), 0, rank, 0, rank));
    Matrix kept = result_.r_KK.empty() ? copy_of(context_, top.view()) : copy_of(context_, block(result_.r_KK.view(), 0, rank, 0, rank));
    if (!result_.r_KK.empty()) lapack_.multiply_upper(Side::left, false, top.view(), kept.view(), context_.allocator, context_.stream);
    result_.r_KK = std::move(kept);
  }

  CholeskyQr finish() {
    if (result_.r_KK.empty()) result_.r_KK = make_matrix(context_, q_, DType::f64, result_.rank, result_.rank);
    return std::move(result_);
  }

  const Context& context_;
  const LapackKernels& lapack_;
  TensorView q_;
  std::int64_t size_;
  Matrix gram_, kept_;
  CholeskyQr result_;
};

}  // namespace

CholeskyQr cholesky_qr(const Context& context, const TensorView& q_MK) { return Passes(context, q_MK).run(); }

}  // namespace panther::linalg
