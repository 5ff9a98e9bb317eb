#include "kernels/linalg/orthonormalize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "kernels/linalg/arithmetic.h"

namespace panther::linalg {
namespace {

constexpr double kUsableRatio = 1e-5;   ///< below: the Gram matrix has lost the column, or f32's triangular solve would
constexpr double kNearlyOrthonormal = 0.9;
constexpr double kWellSeparated = 1e-3;   ///< before: then one pass mostly leaves columns orthonormal to three digits
constexpr double kTiniestGram = 1e-140;   ///< squares of smaller numbers lose digits to underflow
constexpr double kTiniestDivisor = 1e-280;
constexpr int kMostPasses = 6;
constexpr int kMostRounds = 5;            ///< two remove a replaced column's share of the basis, and it may take a second replacement

/// Smallest |R_jj| / ||R e_j||: how much of a column is new to those before it. 0 for a column too small for its square.
double smallest_ratio(const std::vector<double>& r, std::int64_t columns, std::int64_t leading) {
  double smallest = 1;
  for (std::int64_t j = 0; j < columns; ++j) {
    double square = 0;
    for (std::int64_t i = 0; i <= j; ++i) square += r[static_cast<std::size_t>(i + j * leading)] * r[static_cast<std::size_t>(i + j * leading)];
    const double diagonal = std::abs(r[static_cast<std::size_t>(j + j * leading)]);
    const double ratio = diagonal > kTiniestGram ? diagonal / std::sqrt(square) : 0;
    if (!(ratio >= smallest)) smallest = ratio;
  }
  return smallest;
}

/// One pass of Cholesky QR: y = y R^-1, r = R r. Returns smallest_ratio(R); y is untouched when that is below kUsableRatio.
double cholesky_pass(const Arithmetic& maths, const TensorView& y_ML, const TensorView& r_LL) {
  const std::int64_t columns = y_ML.shape[1];
  const Matrix gram = maths.matrix(columns, columns, DType::f64);
  maths.lapack().gram(y_ML, gram.view(), maths.allocator(), maths.stream());
  maths.sum(gram);
  const bool failed = maths.lapack().cholesky(gram.view(), maths.allocator(), maths.stream()) != 0;
  if (maths.sum(failed ? 1.0 : 0.0) != 0) return 0;
  const double ratio = smallest_ratio(maths.download(gram.view()), columns, columns);
  if (!(ratio >= kUsableRatio)) return 0;
  const Matrix triangle = maths.copy_of(gram.view(), y_ML.dtype);
  maths.lapack().solve_upper(Side::right, false, 1, triangle.view(), y_ML, maths.allocator(), maths.stream());
  if (r_LL.data != nullptr) maths.lapack().multiply_upper(Side::left, false, triangle.view(), r_LL, maths.allocator(), maths.stream());
  return ratio;
}

/// True when y is orthonormal; false, with y as it was before the failing pass, when the first pass finds it too dependent.
bool cholesky_passes(const Arithmetic& maths, const TensorView& y_ML, const TensorView& r_LL, double enough, Orthonormalized& done) {
  for (int pass = 0; pass < kMostPasses; ++pass) {
    const double ratio = cholesky_pass(maths, y_ML, r_LL);
    if (ratio == 0) return false;
    ++done.passes;
    if (ratio >= enough) return true;
  }
  return false;
}

/// The triangle of a Gaussian sketch of z, on the host.
std::vector<double> sketched_triangle(const Arithmetic& maths, const TensorView& z_ML, const SketchOperator& sketch, const Matrix& r_LL) {
  const std::int64_t columns = z_ML.shape[1];
  const Matrix small = maths.sketch_rows(sketch, z_ML);
  const Matrix tau = maths.matrix(columns, 1);
  maths.lapack().qr(small.view(), tau.column(0), maths.allocator(), maths.stream());
  maths.copy(small.block(0, columns, 0, columns), r_LL.view());
  return maths.download(r_LL.view());
}

/// This rank's rows of column j become row j of the sketch times `scale`.
void make_random(const Arithmetic& maths, const SketchOperator& sketch, const TensorView& y_ML, std::int64_t j, double scale) {
  if (y_ML.shape[0] == 0) return;
  sketch.materialize(maths.context().sketch(), {j, 1, maths.context().first_row, y_ML.shape[0]}, scale, y_ML.transposed().slice(j, 1));
}

/// Columns of z that depend on those before them become random; their number.
std::int64_t replace_dependent(const Arithmetic& maths, const TensorView& z_ML, const std::vector<double>& r, int attempt) {
  const std::int64_t columns = z_ML.shape[1];
  const double floor = 16 * static_cast<double>(columns) * maths.unit_roundoff();
  const auto sketch = maths.sketch("gaussian", columns, maths.context().rows_of(z_ML), attempt == 0 ? "orthonormalize.fill" : "orthonormalize.fill2");
  std::int64_t replaced = 0;
  for (std::int64_t j = 0; j < columns; ++j) {
    double square = 0;
    for (std::int64_t i = 0; i <= j; ++i) square += r[static_cast<std::size_t>(i + j * columns)] * r[static_cast<std::size_t>(i + j * columns)];
    const double diagonal = std::abs(r[static_cast<std::size_t>(j + j * columns)]);
    if (diagonal > std::max(floor * std::sqrt(square), kTiniestDivisor) && std::isfinite(diagonal)) continue;
    ++replaced;
    make_random(maths, *sketch, z_ML, j, 1);
  }
  return replaced;
}

/// z = z R_s^-1 with R_s of a sketch, so that Cholesky QR succeeds.
std::int64_t precondition(const Arithmetic& maths, const TensorView& z_ML) {
  const std::int64_t columns = z_ML.shape[1];
  const auto sketch = maths.sketch("gaussian", 2 * columns + 8, maths.context().rows_of(z_ML), "orthonormalize");
  const Matrix triangle = maths.matrix(columns, columns);
  std::int64_t replaced = 0, now = 1;
  for (int attempt = 0; attempt < 3 && now > 0; ++attempt) {
    now = replace_dependent(maths, z_ML, sketched_triangle(maths, z_ML, *sketch, triangle), attempt);
    replaced = std::max(replaced, now);
  }
  if (now > 0) sketched_triangle(maths, z_ML, *sketch, triangle);  // of z as it became
  maths.lapack().solve_upper(Side::right, false, 1, triangle.view(), z_ML, maths.allocator(), maths.stream());
  return replaced;
}

/// Unit columns of which the projection left nothing but rounding were noise inside the basis (the matrix may map to nothing outside it, so that
/// no further noise would get out either): random ones, new at every call, take their place, and the rows of r_LL that spoke of them are cleared.
std::int64_t replace_vanished(const Arithmetic& maths, const TensorView& y_ML, const TensorView& r_LL, std::int64_t basis_columns, int round) {
  const std::vector<double> squares = maths.sum(maths.column_squares(y_ML));
  const std::int64_t columns = y_ML.shape[1];
  const auto sketch = maths.sketch("gaussian", columns, maths.context().rows_of(y_ML), concat("orthonormalize.vanished.", basis_columns, ".", round));
  std::int64_t replaced = 0;
  for (std::int64_t j = 0; j < columns; ++j) {
    if (squares[static_cast<std::size_t>(j)] > maths.unit_roundoff()) continue;
    ++replaced;
    maths.lapack().fill('A', 0, 0, r_LL.slice(j, 1), maths.stream());
    make_random(maths, *sketch, y_ML, j, 1 / std::sqrt(static_cast<double>(maths.context().rows_of(y_ML))));
  }
  return replaced;
}

void clear_below_diagonal(const Arithmetic& maths, const TensorView& r_LL) { maths.lapack().fill('L', 0, 0, r_LL, maths.stream()); }

}  // namespace

Orthonormalized orthonormalize(const Context& context, const TensorView& y_ML, const TensorView& r_LL, Orthonormality wanted) {
  const Arithmetic maths(context, y_ML.dtype, y_ML.device);
  const std::int64_t columns = y_ML.shape[1];
  PANTHER_REQUIRE(columns <= context.rows_of(y_ML), "orthonormalize: ", columns, " columns of length ", context.rows_of(y_ML), " cannot be independent");
  Orthonormalized done;
  if (columns == 0) return done;
  if (r_LL.data != nullptr) maths.lapack().fill('A', 0, 1, r_LL, maths.stream());
  if (cholesky_passes(maths, y_ML, r_LL, wanted == Orthonormality::full ? kNearlyOrthonormal : kWellSeparated, done)) return done;

  const Arithmetic wide(context, DType::f64, y_ML.device);
  const Matrix z = wide.copy_of(y_ML), given = r_LL.data != nullptr ? wide.copy_of(y_ML) : Matrix();
  const Matrix before = r_LL.data != nullptr ? wide.copy_of(r_LL) : Matrix();
  done = {0, true, precondition(wide, z.view())};
  PANTHER_CHECK(cholesky_passes(wide, z.view(), {}, kNearlyOrthonormal, done), "Cholesky QR failed on a preconditioned matrix of ", columns, " columns");
  wide.copy(z.view(), y_ML);
  if (r_LL.data != nullptr) {
    wide.copy(wide.product(wide.inner_product(z.view(), given.view()).view(), before.view()).view(), r_LL);
    clear_below_diagonal(wide, r_LL);
  }
  return done;
}

Orthonormalized orthonormalize_against(const Context& context, const TensorView& basis_MK, const TensorView& y_ML, const TensorView& coefficients_KL,
                                       const TensorView& r_LL) {
  const Arithmetic maths(context, y_ML.dtype, y_ML.device);
  const std::int64_t columns = y_ML.shape[1], have = basis_MK.shape[1];
  if (have == 0) return orthonormalize(context, y_ML, r_LL);
  PANTHER_REQUIRE(have + columns <= context.rows_of(y_ML), "orthonormalize_against: ", have, " + ", columns, " columns of length ",
                  context.rows_of(y_ML), " cannot be independent");
  Matrix total = maths.inner_product(basis_MK, y_ML), triangle = maths.matrix(columns, columns);
  maths.multiply(-1, basis_MK, total.view(), 1, y_ML);
  Orthonormalized done = orthonormalize(context, y_ML, triangle.view());
  // What is left of a block inside the basis is rounding noise, which is not orthogonal to it: project again until nothing remains.
  for (int round = 0; round < kMostRounds; ++round) {
    const Matrix rest = maths.inner_product(basis_MK, y_ML), step = maths.matrix(columns, columns);
    maths.multiply(-1, basis_MK, rest.view(), 1, y_ML);
    maths.multiply(1, rest.view(), triangle.view(), 1, total.view());
    if (maths.squared_norm(rest.view()) < maths.unit_roundoff()) break;
    done.replaced += replace_vanished(maths, y_ML, triangle.view(), have, round);
    done.passes += orthonormalize(context, y_ML, step.view()).passes;
    triangle = maths.product(step.view(), triangle.view());
  }
  if (coefficients_KL.data != nullptr) maths.copy(total.view(), coefficients_KL);
  if (r_LL.data != nullptr) {
    maths.copy(triangle.view(), r_LL);
    clear_below_diagonal(maths, r_LL);
  }
  return done;
}

}  // namespace panther::linalg
