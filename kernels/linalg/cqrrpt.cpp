#include "kernels/linalg/cqrrpt.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "kernels/linalg/blocks.h"
#include "kernels/linalg/bqrrp.h"
#include "kernels/linalg/cholesky_qr.h"
#include "kernels/linalg/memory_need.h"
#include "kernels/linalg/qr_check.h"

namespace panther::linalg {
namespace {

constexpr std::int64_t kBlockedSketch = 512;  ///< from this many columns on GEQP3's matrix-vector half is what the sketch's QR waits for

std::int64_t sketch_rows(std::int64_t columns, const CqrrptOptions& options) {
  return std::max(columns, static_cast<std::int64_t>(std::ceil(options.sketch_factor * static_cast<double>(columns))));
}

class TallPivotedQr {
 public:
  TallPivotedQr(const Context& context, const TensorView& a_MN, const CqrrptOptions& options)
      : context_(context), options_(options), lapack_(lapack_of(context)), clock_(context), a_(a_MN), columns_(a_MN.shape[1]) {}

  CqrrptResult run() {
    result_.pivots.resize(static_cast<std::size_t>(columns_));
    std::iota(result_.pivots.begin(), result_.pivots.end(), 0);
    if (columns_ == 0 || context_.rows_of(a_) == 0) return finish(0);
    copy_unless_column_major();
    sketch();
    const std::int64_t rank = choose_pivots();
    if (rank == 0) return finish(0);
    precondition(rank);
    orthogonalize();
    if (options_.estimate_error) {
      clock_.begin("estimate error", 0.95);
      result_.quality = estimate_quality(context_, a_, result_.pivots, result_.q_MK.view(), result_.r_KN.view());
    }
    return finish(result_.rank);
  }

 private:
  void copy_unless_column_major() {
    if ((a_.strides[0] == 1 || a_.shape[0] <= 1) && (columns_ <= 1 || a_.strides[1] >= a_.shape[0])) return;
    clock_.begin("copy", 0);
    copy_ = copy_of(context_, a_);
    a_ = copy_.view();
  }

  void sketch() {
    clock_.begin("sketch", 0.01);
    const std::int64_t rows = sketch_rows(columns_, options_);
    const std::unique_ptr<SketchOperator> s = make_row_sketch(context_, options_.sketch, rows, context_.rows_of(a_), "cqrrpt", options_.nonzeros);
    sketch_ = make_matrix(context_, a_, rows, columns_);
    apply_row_split(*s, context_.sketch(), context_.first_row, s->isometry_scale(), a_, sketch_.view(), {});
    sum_over_ranks(context_, sketch_.view());
    require_finite(context_, a_, sketch_.view(), "cqrrpt");
  }

  /// The sketch becomes its R; every rank does the same.
  std::int64_t choose_pivots() {
    clock_.begin("pivots", 0.05);
    Matrix tau = make_matrix(context_, a_, columns_, 1);
    if (columns_ >= kBlockedSketch) {
      Context whole{context_.kernels, context_.allocator, context_.stream, {}, 0, -1, context_.seed + 1, {}};
      bqrrp_in_place(whole, sketch_.view(), head(tau.view(), columns_), result_.pivots, {});
    } else {
      lapack_.qr_pivoted(sketch_.view(), head(tau.view(), columns_), result_.pivots, context_.allocator, context_.stream);
    }
    lapack_.fill('L', 0, 0, sketch_.view(), context_.stream);
    const std::vector<double> entries = to_host(context_, diagonal(sketch_.view(), columns_));
    const double epsilon = 2 * unit_roundoff(a_.dtype), relative = options_.rank_tolerance > 0 ? options_.rank_tolerance : 2 * std::pow(epsilon, 0.95);
    const double threshold = relative * std::abs(entries[0]);
    std::int64_t rank = std::min(columns_, context_.rows_of(a_));
    while (rank > 0 && !(std::abs(entries[static_cast<std::size_t>(rank - 1)]) >= threshold && entries[static_cast<std::size_t>(rank - 1)] != 0)) --rank;
    return rank;
  }

  void precondition(std::int64_t rank) {
    clock_.begin("precondition", 0.15);
    result_.rank = rank;
    result_.q_MK = make_matrix(context_, a_, a_.shape[0], rank);
    const std::span<const std::int64_t> leading(result_.pivots.data(), static_cast<std::size_t>(rank));
    lapack_.gather_columns(a_, leading, result_.q_MK.view(), context_.allocator, context_.stream);
    lapack_.divide_by_pivoted(block(sketch_.view(), 0, rank, 0, rank), result_.q_MK.view(), context_.allocator, context_.stream);
  }

  void orthogonalize() {
    clock_.begin("orthogonalize", 0.45);
    const CholeskyQr factor = cholesky_qr(context_, result_.q_MK.view());
    result_.passes = factor.passes;
    result_.shifted = factor.shifted;
    clock_.begin("r", 0.94);
    if (factor.rank < result_.rank) {
      result_.rank = factor.rank;
      result_.q_MK = copy_of(context_, columns(result_.q_MK.view(), 0, factor.rank));
    }
    result_.r_KN = copy_of(context_, block(sketch_.view(), 0, result_.rank, 0, columns_));
    if (result_.rank == 0) return;
    const Matrix narrow = copy_of(context_, factor.r_KK.view(), a_.dtype);
    lapack_.multiply_upper(Side::left, false, narrow.view(), result_.r_KN.view(), context_.allocator, context_.stream);
  }

  CqrrptResult finish(std::int64_t rank) {
    if (rank == 0) {
      result_.rank = 0;
      result_.q_MK = make_matrix(context_, a_, a_.shape[0], 0);
      result_.r_KN = make_matrix(context_, a_, 0, columns_);
      result_.quality = {0, 0};
    }
    result_.stages = clock_.finish();
    return std::move(result_);
  }

  const Context& context_;
  const CqrrptOptions& options_;
  const LapackKernels& lapack_;
  StageClock clock_;
  TensorView a_;
  std::int64_t columns_;
  Matrix copy_, sketch_;
  CqrrptResult result_;
};

}  // namespace

CqrrptResult cqrrpt(const Context& context, const TensorView& a_MN, const CqrrptOptions& options) {
  require_input(context, a_MN, "cqrrpt");
  PANTHER_REQUIRE(options.sketch_factor >= 1, "cqrrpt: a sketch factor of ", options.sketch_factor, " is below 1");
  PANTHER_REQUIRE(options.rank_tolerance >= 0 && options.rank_tolerance < 1, "cqrrpt: rank tolerance ", options.rank_tolerance, " is not in [0, 1)");
  const bool column_major = a_MN.strides[0] == 1;
  require_memory(context, "cqrrpt", static_cast<double>(cqrrpt_bytes(a_MN.shape[0], a_MN.shape[1], a_MN.dtype, column_major, options)), a_MN.device);
  return TallPivotedQr(context, a_MN, options).run();
}

std::int64_t cqrrpt_bytes(std::int64_t rows, std::int64_t columns, DType dtype, bool column_major, const CqrrptOptions& options) {
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  const std::int64_t tall = (column_major ? 1 : 2) * rows * columns, small = sketch_rows(columns, options) * columns;
  // The sketch and its own QR; R; Gram matrix, its copy and its factor in f64.
  return tall * size + 2 * small * size + columns * columns * (size + 3 * 8);
}

}  // namespace panther::linalg
