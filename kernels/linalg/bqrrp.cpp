#include "kernels/linalg/bqrrp.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "kernels/linalg/blocks.h"
#include "kernels/linalg/column_moves.h"
#include "kernels/linalg/memory_need.h"

namespace panther::linalg {
namespace {

constexpr std::int64_t kUnblocked = 64;  ///< up to this many columns or rows GEQP3 itself is as fast
constexpr double kWorstSpread = 50;      ///< of the diagonal of a panel's Cholesky factor; see cholesky_qr.cpp

std::int64_t block_columns(std::int64_t least, const BqrrpOptions& options) {
  if (options.block_columns > 0) return std::min(options.block_columns, std::max<std::int64_t>(least, 1));
  return std::clamp<std::int64_t>(least / 16 / 32 * 32, 32, 128);
}

std::int64_t sketch_rows(std::int64_t block, const BqrrpOptions& options) {
  return std::max(block, static_cast<std::int64_t>(std::ceil(options.sketch_factor * static_cast<double>(block))));
}

class BlockedPivotedQr {
 public:
  BlockedPivotedQr(const Context& context, const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots, const BqrrpOptions& options)
      : context_(context), options_(options), lapack_(lapack_of(context)), clock_(context), a_(a_MN), tau_(tau_K), pivots_(pivots), rows_(a_MN.shape[0]),
        columns_(a_MN.shape[1]), least_(std::min(rows_, columns_)), block_(block_columns(least_, options)), height_(sketch_rows(block_, options)) {}

  BqrrpReport run() {
    std::iota(pivots_.begin(), pivots_.end(), 0);
    if (least_ > 0 && !at_once()) blocked();
    count_rank();
    report_.stages = clock_.finish();
    return std::move(report_);
  }

 private:
  /// GEQP3 of all: of few columns or rows, and where the device's fast memory holds the whole matrix, so that blocks of products would gain nothing. False, with
  /// nothing touched, elsewhere.
  bool at_once() {
    const bool few = least_ <= kUnblocked;
    if (!few && (options_.block_columns > 0 || lapack_.lead_pivots == nullptr)) return false;
    clock_.begin("geqp3", 0);
    require_finite(context_, a_, a_, "bqrrp");
    if (few) lapack_.qr_pivoted(a_, tau_, pivots_, context_.allocator, context_.stream);
    else if (!lapack_.lead_pivots(a_, tau_, pivots_, context_.allocator, context_.stream)) return false;
    require_scale(std::abs(to_host(context_, diagonal(a_, 1))[0]));
    return true;
  }

  void blocked() {
    allocate();
    while (done_ < least_) {
      const double left = 1 - static_cast<double>(done_) / static_cast<double>(least_);
      share_ = 1 - left * left * left;
      if (stale_) take_sketch();
      const std::int64_t count = choose();
      if (fresh_ && scale_ <= floor_) return finish_noise();
      stale_ = count < width();
      fresh_ = false;
      if (count == 0) continue;
      move_columns();
      const bool product = factor_panel(count);
      update(count, product);
      if (!product) stale_ = true;
      if (!stale_) update_sketch(count);
      done_ += count;
      sketch_first_ += count;
      ++report_.blocks;
    }
  }

  std::int64_t width() const { return std::min(block_, least_ - done_); }
  std::int64_t trailing_columns() const { return columns_ - done_; }
  TensorView trailing() const { return block(a_, done_, rows_ - done_, done_, trailing_columns()); }
  TensorView trailing_sketch() const { return columns(sketch_.view(), sketch_first_, trailing_columns()); }

  void allocate() {
    clock_.begin("allocate", 0);
    sketch_ = make_matrix(context_, a_, height_, columns_);
    chosen_ = make_matrix(context_, a_, height_, block_);
    sketch_tau_ = make_matrix(context_, a_, block_, 1);
    panel_ = make_matrix(context_, a_, rows_, block_);
    moved_ = make_matrix(context_, a_, std::max(rows_, height_), 2 * block_);  // holds columns of the sketch, too
    gram_ = make_matrix(context_, a_, DType::f64, block_, block_);
    r_ = make_matrix(context_, a_, block_, block_);
    t_ = make_matrix(context_, a_, block_, block_);
    w_ = make_matrix(context_, a_, block_, columns_);
  }

  /// Of the trailing matrix, with an operator of its own each time.
  void take_sketch() {
    clock_.begin("sketch", share_);
    const auto epoch = static_cast<std::uint32_t>(report_.sketches);
    const std::unique_ptr<SketchOperator> s = make_row_sketch(context_, options_.sketch, height_, rows_ - done_, "bqrrp", 4, epoch);
    sketch_first_ = done_;
    s->apply(context_.sketch(), false, {}, s->isometry_scale(), trailing(), 0, trailing_sketch());
    if (report_.sketches++ == 0) require_finite(context_, a_, sketch_.view(), "bqrrp");
    fresh_ = true;
  }

  /// Leaves the QR of the sketch of the chosen columns in chosen_, how columns must move in moves_, and says how many of the chosen mean something. Where the
  /// device leads pivots as fast, the whole sketch is turned and permuted with them; else LU with partial pivoting of the transposed sketch finds a set of
  /// columns (all products), GEQP3 of the small set its order.
  std::int64_t choose() {
    clock_.begin("pivots", share_);
    const std::int64_t count = width(), trail = trailing_columns();
    const TensorView chosen = columns(chosen_.view(), 0, count), tau = head(sketch_tau_.view(), count);
    std::vector<std::int64_t> order(static_cast<std::size_t>(trail));
    turned_whole_ = lapack_.lead_pivots != nullptr && lapack_.lead_pivots(trailing_sketch(), tau, order, context_.allocator, context_.stream);
    if (turned_whole_) {
      moves_ = moves_of(order);
      context_.kernels.cast(columns(trailing_sketch(), 0, count).transposed(), chosen.transposed(), context_.stream);
      return meaningful(to_host(context_, diagonal(chosen, count)));
    }
    std::iota(order.begin(), order.end(), 0);
    if (trail > count) {
      if (turned_.empty()) turned_ = make_matrix(context_, a_, columns_, height_);
      const TensorView turned = block(turned_.view(), 0, trail, 0, height_);
      context_.kernels.cast(trailing_sketch(), turned.transposed(), context_.stream);
      std::vector<std::int64_t> swaps(static_cast<std::size_t>(std::min(trail, height_)));
      lapack_.lu(turned, swaps, context_.allocator, context_.stream);
      for (std::int64_t i = 0; i < count; ++i) std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(swaps[static_cast<std::size_t>(i)])]);
    }
    order.resize(static_cast<std::size_t>(count));
    lapack_.gather_columns(trailing_sketch(), order, chosen, context_.allocator, context_.stream);
    std::vector<std::int64_t> sorted(static_cast<std::size_t>(count));
    lapack_.qr_pivoted(chosen, tau, sorted, context_.allocator, context_.stream);
    for (std::int64_t& j : sorted) j = order[static_cast<std::size_t>(j)];
    const std::int64_t kept = meaningful(to_host(context_, diagonal(chosen, count)));
    sorted.resize(static_cast<std::size_t>(kept));
    moves_ = moves_to_front(sorted);
    return kept;
  }

  /// Rounding in updates is relative to the last sketch taken; an entry below eps^0.75 of it has lost too many digits to go on with.
  std::int64_t meaningful(const std::vector<double>& entries) {
    if (fresh_) require_scale(std::abs(entries[0]));
    const double epsilon = 2 * unit_roundoff(a_.dtype);
    if (report_.sketches == 1 && fresh_) floor_ = scale_ * epsilon * epsilon;
    const double least = std::pow(epsilon, 0.75) * scale_;
    std::int64_t count = 0;
    while (count < static_cast<std::int64_t>(entries.size()) && std::abs(entries[static_cast<std::size_t>(count)]) > least) ++count;
    return count;
  }

  /// Entries may be finite and norms not; then every comparison with the scale would be with infinity.
  void require_scale(double scale) {
    PANTHER_REQUIRE(std::isfinite(scale), "bqrrp: the matrix is so large that its columns' norms overflow ", dtype_name(a_.dtype), ": scale it down");
    scale_ = scale;
  }

  void move_columns() {
    clock_.begin("move columns", share_);
    permute(columns(a_, done_, trailing_columns()));
    if (!turned_whole_) permute(trailing_sketch());
    const std::span<std::int64_t> names = pivots_.subspan(static_cast<std::size_t>(done_));
    std::vector<std::int64_t> before;
    for (const std::int64_t source : moves_.sources) before.push_back(names[static_cast<std::size_t>(source)]);
    for (std::size_t i = 0; i < before.size(); ++i) names[static_cast<std::size_t>(moves_.targets[i])] = before[i];
  }

  void permute(const TensorView& matrix) {
    const TensorView held = block(moved_.view(), 0, matrix.shape[0], 0, static_cast<std::int64_t>(moves_.sources.size()));
    lapack_.gather_columns(matrix, moves_.sources, held, context_.allocator, context_.stream);
    lapack_.scatter_columns(held, moves_.targets, matrix, context_.allocator, context_.stream);
  }

  /// True when panel_ holds the explicit unit lower trapezoid V and t_ its factor; false after Householder QR.
  bool factor_panel(std::int64_t count) {
    clock_.begin("panel", share_);
    const TensorView panel = block(a_, done_, rows_ - done_, done_, count), v = block(panel_.view(), 0, rows_ - done_, 0, count);
    const TensorView tau = tau_.slice(done_, count);
    context_.kernels.cast(panel.transposed(), v.transposed(), context_.stream);
    if (!cholesky_panel(count, v, tau)) {
      ++report_.householder_panels;
      lapack_.qr(panel, tau, context_.allocator, context_.stream);
      return false;
    }
    context_.kernels.cast(v.transposed(), panel.transposed(), context_.stream);
    lapack_.fill('U', 0, 0, v, context_.stream);
    const TensorView ones = diagonal(v, count);
    fill_ones(ones);
    return true;
  }

  void fill_ones(const TensorView& strided) {
    const Matrix ones = make_matrix(context_, a_, strided.shape[0], 1);
    lapack_.fill('A', 1, 1, ones.view(), context_.stream);
    context_.kernels.cast(head(ones.view(), strided.shape[0]), strided, context_.stream);
  }

  bool cholesky_panel(std::int64_t count, const TensorView& v, const TensorView& tau) {
    const TensorView sketch_r = block(chosen_.view(), 0, count, 0, count), gram = block(gram_.view(), 0, count, 0, count);
    const TensorView r = block(r_.view(), 0, count, 0, count), t = block(t_.view(), 0, count, 0, count);
    lapack_.solve_upper(Side::right, false, 1, sketch_r, v, context_.allocator, context_.stream);
    lapack_.gram(v, gram, context_.allocator, context_.stream);
    if (lapack_.cholesky(gram, context_.allocator, context_.stream) != 0) return false;
    const std::vector<double> entries = to_host(context_, diagonal(gram, count));
    const auto [low, high] = std::minmax_element(entries.begin(), entries.end());
    if (!(*high <= kWorstSpread * *low)) return false;
    lapack_.fill('L', 0, 0, gram, context_.stream);
    context_.kernels.cast(gram.transposed(), r.transposed(), context_.stream);
    lapack_.solve_upper(Side::right, false, 1, r, v, context_.allocator, context_.stream);
    lapack_.multiply_upper(Side::right, false, sketch_r, r, context_.allocator, context_.stream);
    lapack_.reconstruct_q(v, r, tau, t, context_.allocator, context_.stream);
    return true;
  }

  /// The trailing columns become Q^T times them: C - V (T^T (V^T C)).
  void update(std::int64_t count, bool product) {
    const std::int64_t rest = trailing_columns() - count;
    if (rest == 0) return;
    clock_.begin("update", share_);
    const TensorView c = block(a_, done_, rows_ - done_, done_ + count, rest);
    if (!product) {
      const TensorView panel = block(a_, done_, rows_ - done_, done_, count);
      return lapack_.multiply_q(true, panel, tau_.slice(done_, count), c, context_.allocator, context_.stream);
    }
    const TensorView v = block(panel_.view(), 0, rows_ - done_, 0, count), w = block(w_.view(), 0, count, 0, rest);
    context_.kernels.gemm(1, v.transposed(), c, 0, w, {}, {}, context_.stream);
    lapack_.multiply_upper(Side::left, true, block(t_.view(), 0, count, 0, count), w, context_.allocator, context_.stream);
    context_.kernels.gemm(-1, v, w, 1, c, {}, {}, context_.stream);
  }

  /// With S A = Q_s [R_s11 R_s12; 0 R_s22], the trailing matrix has the sketch [R_s12 - R_s11 R_11^-1 R_12; R_s22].
  void update_sketch(std::int64_t count) {
    const std::int64_t rest = trailing_columns() - count;
    if (rest == 0) return;
    clock_.begin("update sketch", share_);
    const TensorView sketch = columns(trailing_sketch(), count, rest), r = block(r_.view(), 0, count, 0, count);
    if (!turned_whole_) lapack_.multiply_q(true, columns(chosen_.view(), 0, count), head(sketch_tau_.view(), count), sketch, context_.allocator, context_.stream);
    context_.kernels.cast(block(chosen_.view(), 0, count, 0, count).transposed(), r.transposed(), context_.stream);
    lapack_.fill('L', 0, 0, r, context_.stream);
    lapack_.solve_upper(Side::right, false, 1, block(a_, done_, count, done_, count), r, context_.allocator, context_.stream);
    context_.kernels.gemm(-1, r, block(a_, done_, count, done_ + count, rest), 1, sketch.slice(0, count), {}, {}, context_.stream);
  }

  /// What is left is below eps^2 of the matrix (often exactly zero): rounding of rounding, which no pivoting can order. Going on would only
  /// chase it down to denormal numbers.
  void finish_noise() {
    clock_.begin("finish", share_);
    lapack_.qr(trailing(), tau_.slice(done_, least_ - done_), context_.allocator, context_.stream);
  }

  void count_rank() {
    double largest = 0;
    const std::vector<double> entries = to_host(context_, diagonal(a_, least_));
    for (const double entry : entries) largest = std::max(largest, std::abs(entry));
    const double rounding = 2 * unit_roundoff(a_.dtype) * static_cast<double>(std::max(rows_, columns_));
    const double relative = options_.rank_tolerance > 0 ? options_.rank_tolerance : rounding;
    for (const double entry : entries) report_.rank += entry != 0 && std::abs(entry) >= relative * largest;
  }

  const Context& context_;
  const BqrrpOptions& options_;
  const LapackKernels& lapack_;
  StageClock clock_;
  TensorView a_, tau_;
  std::span<std::int64_t> pivots_;
  std::int64_t rows_, columns_, least_, block_, height_;
  std::int64_t done_ = 0, sketch_first_ = 0;
  double scale_ = 0, floor_ = 0, share_ = 0;
  bool stale_ = true, fresh_ = false;
  ColumnMoves moves_;          ///< of columns counted from done_
  bool turned_whole_ = false;  ///< the trailing sketch is permuted and has the reflectors of its chosen columns applied
  Matrix sketch_, turned_, chosen_, sketch_tau_, panel_, moved_, gram_, r_, t_, w_;
  BqrrpReport report_;
};

}  // namespace

BqrrpReport bqrrp_in_place(const Context& context, const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots,
                           const BqrrpOptions& options) {
  require_input(context, a_MN, "bqrrp");
  const std::int64_t rows = a_MN.shape[0], columns_N = a_MN.shape[1], least = std::min(rows, columns_N);
  PANTHER_REQUIRE(!context.sum_over_ranks, "bqrrp works in one process; for a tall matrix split over ranks use cqrrpt");
  PANTHER_REQUIRE(options.sketch_factor >= 1 && options.block_columns >= 0, "bqrrp: a sketch factor of ", options.sketch_factor, " or a block of ",
                  options.block_columns, " columns cannot be");
  PANTHER_REQUIRE((rows <= 1 || a_MN.strides[0] == 1) && (columns_N <= 1 || a_MN.strides[1] >= rows), "bqrrp in place takes a column-major matrix");
  PANTHER_REQUIRE(static_cast<std::int64_t>(pivots.size()) == columns_N && tau_K.numel() >= least && tau_K.dtype == a_MN.dtype, "bqrrp: pivots must have ",
                  columns_N, " entries and tau ", least, " of the matrix' dtype");
  require_memory(context, "bqrrp", static_cast<double>(bqrrp_scratch_bytes(rows, columns_N, a_MN.dtype, options)), a_MN.device);
  return BlockedPivotedQr(context, a_MN, head(tau_K, least), pivots, options).run();
}

BqrrpResult bqrrp(const Context& context, const TensorView& a_MN, const BqrrpOptions& options) {
  require_input(context, a_MN, "bqrrp");
  const std::int64_t rows = a_MN.shape[0], columns_N = a_MN.shape[1];
  require_memory(context, "bqrrp", static_cast<double>(a_MN.bytes() + bqrrp_scratch_bytes(rows, columns_N, a_MN.dtype, options)), a_MN.device);
  BqrrpResult result{copy_of(context, a_MN), make_matrix(context, a_MN, std::min(rows, columns_N), 1),
                     std::vector<std::int64_t>(static_cast<std::size_t>(columns_N)), {}};
  result.report = bqrrp_in_place(context, result.factored_MN.view(), head(result.tau_K.view(), result.tau_K.rows()), result.pivots, options);
  return result;
}

std::int64_t bqrrp_scratch_bytes(std::int64_t rows, std::int64_t columns, DType dtype, const BqrrpOptions& options) {
  const std::int64_t width = block_columns(std::min(rows, columns), options), height = sketch_rows(width, options);
  return (2 * height * columns + rows * width + 2 * std::max(rows, height) * width + width * columns + 4 * width * height) * static_cast<std::int64_t>(size_of(dtype));
}

}  // namespace panther::linalg
