#include "kernels/linalg/residual.h"

#include <algorithm>
#include <cmath>

namespace panther::linalg {
namespace {

constexpr std::int64_t kStripRows = 256;

}  // namespace

double error_indicator(double norm_a, double norm_b) {
  if (norm_a == 0) return 0;
  return std::sqrt(std::abs(norm_a - norm_b)) * std::sqrt(norm_a + norm_b) / norm_a;
}

double residual_norm(const Arithmetic& maths, const TensorView& a_MN, const TensorView& left_MK, const TensorView& right_NK) {
  const std::int64_t rows = a_MN.shape[0], columns = a_MN.shape[1];
  const Matrix strip = maths.matrix(columns, std::min(rows, kStripRows));  // transposed: a row of a is a column
  double total = 0;
  for (std::int64_t first = 0; first < rows; first += kStripRows) {
    const std::int64_t count = std::min(kStripRows, rows - first);
    const TensorView difference = strip.columns_from(0, count).transposed();
    maths.copy(a_MN.slice(first, count), difference);
    maths.multiply(-1, left_MK.slice(first, count), right_NK.transposed(), 1, difference);
    total += maths.squared_norm(difference);
  }
  return std::sqrt(maths.sum(total));
}

}  // namespace panther::linalg
