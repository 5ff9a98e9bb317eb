// What every rank must compute with the same bits from the same factors: no fused multiply-adds, sums in the order of the rank index.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/random_direction.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kPiece = 256;         // columns at a time: the product stays in the first cache
constexpr std::int64_t kRowsPerTask = 16;
constexpr std::int64_t kChunk = 256;         // elements of a column at a time
constexpr double kDependent = 1e-10;         // squared relative distance below which a column counts as dependent

PANTHER_VECTORISED void product_piece(const float* left, std::int64_t left_stride, const float* right, std::int64_t right_stride, std::int64_t rank,
                                      std::int64_t width, float* product) {
  const float first = left[0];
  for (std::int64_t j = 0; j < width; ++j) product[j] = first * right[j];
  std::int64_t r = 1;
  for (; r + 3 <= rank; r += 3) {
    const float a = left[r * left_stride], b = left[(r + 1) * left_stride], c = left[(r + 2) * left_stride];
    const float* x = right + r * right_stride;
    const float* y = x + right_stride;
    const float* z = y + right_stride;
    for (std::int64_t j = 0; j < width; ++j) product[j] = ((product[j] + a * x[j]) + b * y[j]) + c * z[j];
  }
  for (; r < rank; ++r) {
    const float a = left[r * left_stride];
    const float* x = right + r * right_stride;
    for (std::int64_t j = 0; j < width; ++j) product[j] += a * x[j];
  }
}

PANTHER_VECTORISED void subtract_piece(const float* product, float share, std::int64_t width, float* next) {
  for (std::int64_t j = 0; j < width; ++j) next[j] -= share * product[j];
}

PANTHER_VECTORISED double dot(const float* a, const float* b, std::int64_t count) {
  constexpr std::int64_t kLanes = 8;
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t j = 0; j < kLanes; ++j) lanes[j] += static_cast<double>(a[i + j]) * static_cast<double>(b[i + j]);
  }
  for (; i < count; ++i) lanes[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

/// The lower triangle of factor factor^T.
void gram(const float* factor, std::int64_t rows, std::int64_t rank, double* g_RR) {
  parallel_for(rank * rank, rows * rank * rank / 2, [&](std::int64_t entry) {
    const std::int64_t a = entry / rank, b = entry % rank;
    if (b <= a) g_RR[entry] = dot(factor + a * rows, factor + b * rows, rows);
  });
}

/// Cholesky factor in place of the lower triangle; the diagonal of a dependent column becomes 0. Returns how many there are.
std::int64_t cholesky(double* g, std::int64_t rank) {
  std::int64_t dependent = 0;
  for (std::int64_t j = 0; j < rank; ++j) {
    const double before = g[j * rank + j];
    double rest = before;
    for (std::int64_t k = 0; k < j; ++k) {
      double& entry = g[j * rank + k];
      const double pivot = g[k * rank + k];
      for (std::int64_t l = 0; l < k; ++l) entry -= g[j * rank + l] * g[k * rank + l];
      entry = pivot == 0 ? 0 : entry / pivot;
      rest -= entry * entry;
    }
    const bool gone = rest <= kDependent * before;  // false for nan, which then spreads
    dependent += gone ? 1 : 0;
    g[j * rank + j] = gone ? 0 : std::sqrt(rest);
  }
  return dependent;
}

/// column_j = (column_j - sum_k l_jk column_k) / l_jj for a chunk of the columns' elements.
PANTHER_VECTORISED void solve_chunk(float* factor, std::int64_t rows, std::int64_t rank, const double* l, std::int64_t first, std::int64_t count) {
  double column[kChunk];
  for (std::int64_t j = 0; j < rank; ++j) {
    float* target = factor + j * rows + first;
    const double pivot = l[j * rank + j];
    const double inverse = pivot == 0 ? 0 : 1 / pivot;
    for (std::int64_t i = 0; i < count; ++i) column[i] = target[i];
    for (std::int64_t k = 0; k < j; ++k) {
      const double weight = l[j * rank + k];
      const float* earlier = factor + k * rows + first;
      for (std::int64_t i = 0; i < count; ++i) column[i] -= weight * static_cast<double>(earlier[i]);
    }
    for (std::int64_t i = 0; i < count; ++i) target[i] = static_cast<float>(column[i] * inverse);
  }
}

/// Gives the number of columns that became zero.
std::int64_t cholesky_qr_twice(const OrthonormalizeArguments& a) {
  std::int64_t dependent = 0;
  for (int pass = 0; pass < 2; ++pass) {
    gram(a.factor_RM, a.rows, a.rank, a.scratch_RR);
    dependent = cholesky(a.scratch_RR, a.rank);
    parallel_for((a.rows + kChunk - 1) / kChunk, a.rows * a.rank * a.rank, [&](std::int64_t chunk) {
      solve_chunk(a.factor_RM, a.rows, a.rank, a.scratch_RR, chunk * kChunk, std::min(kChunk, a.rows - chunk * kChunk));
    });
  }
  return dependent;
}

}  // namespace

void low_rank_update(const float* left_RM, const float* right_RN, std::int64_t rows, std::int64_t columns, std::int64_t rank, float* destination,
                     float share, float* next, Stream) {
  parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, rows * columns * rank, [&](std::int64_t task) {
    float product[kPiece];
    for (std::int64_t i = task * kRowsPerTask; i < std::min(rows, (task + 1) * kRowsPerTask); ++i) {
      for (std::int64_t j = 0; j < columns; j += kPiece) {
        const std::int64_t width = std::min(kPiece, columns - j);
        product_piece(left_RM + i, rows, right_RN + j, columns, rank, width, product);
        if (next != nullptr) subtract_piece(product, share, width, next + i * columns + j);
        if (destination != nullptr) std::memcpy(destination + i * columns + j, product, static_cast<std::size_t>(width) * sizeof(float));
      }
    }
  });
}

void orthonormalize(const OrthonormalizeArguments& a, Stream) {
  if (cholesky_qr_twice(a) == 0 || !a.complete) return;
  for (std::int64_t column = 0; column < a.rank; ++column) {
    float* values = a.factor_RM + column * a.rows;
    if (std::any_of(values, values + a.rows, [](float v) { return v != 0; })) continue;
    for (std::int64_t i = 0; i < a.rows; ++i) values[i] = random_direction(a.key, a.step, column, i);
  }
  cholesky_qr_twice(a);
}

void spectrum(const float* factor_RM, std::int64_t rows, std::int64_t rank, double* out, Stream) {
  double trace = 0, squares = 0;
  for (std::int64_t a = 0; a < rank; ++a) {
    for (std::int64_t b = 0; b <= a; ++b) {
      const double entry = dot(factor_RM + a * rows, factor_RM + b * rows, rows);
      if (a == b) trace += entry;
      squares += (a == b ? 1 : 2) * entry * entry;
    }
  }
  out[0] = trace;
  out[1] = squares;
}

}  // namespace panther::cpu
