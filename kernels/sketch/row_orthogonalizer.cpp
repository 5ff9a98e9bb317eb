#include "kernels/sketch/row_orthogonalizer.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/kernel_set.h"

namespace panther {
namespace {

constexpr std::int64_t kPanelColumns = 1024;

class Square {
 public:
  explicit Square(std::int64_t size) : size_(size), values_(static_cast<std::size_t>(size * size)) {}
  double* row(std::int64_t i) { return values_.data() + i * size_; }
  const double* row(std::int64_t i) const { return values_.data() + i * size_; }
  std::int64_t size() const { return size_; }
  TensorView view() { return TensorView(values_.data(), DType::f64, {size_, size_}); }
  std::vector<double> take() { return std::move(values_); }

 private:
  std::int64_t size_;
  std::vector<double> values_;
};

/// L with L L^T = a, its lower triangle read and overwritten; above the diagonal becomes zero.
void cholesky(Square& a) {
  const std::int64_t k = a.size();
  for (std::int64_t i = 0; i < k; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = a.row(i)[j];
      for (std::int64_t p = 0; p < j; ++p) sum -= a.row(i)[p] * a.row(j)[p];
      if (j < i) {
        a.row(i)[j] = sum / a.row(j)[j];
        continue;
      }
      PANTHER_CHECK(sum > 0, "haar sketch: row ", i, " of its Gaussian matrix depends on those before it; take another seed");
      a.row(i)[i] = std::sqrt(sum);
    }
    std::fill(a.row(i) + i + 1, a.row(i) + k, 0.0);
  }
}

/// b = L^-1 b for lower triangular b.
void solve_lower(const Square& l, Square& b) {
  for (std::int64_t i = 0; i < l.size(); ++i) {
    double* row = b.row(i);
    for (std::int64_t p = 0; p < i; ++p) {
      const double factor = l.row(i)[p];
      const double* other = b.row(p);
      for (std::int64_t j = 0; j <= p; ++j) row[j] -= factor * other[j];
    }
    for (std::int64_t j = 0; j <= i; ++j) row[j] /= l.row(i)[i];
  }
}

/// w G G^T, G panel by panel.
Square times_gram(const DenseSketch& gaussian, Square& w, std::int64_t n) {
  const DenseSketchKernels& kernels = *cpu_kernels().dense_sketch;
  const std::int64_t k = w.size();
  Square result(k);
  const Workspace memory(plain_allocator(), static_cast<std::size_t>(k * std::min(n, kPanelColumns)) * sizeof(double), {}, {});
  for (std::int64_t first = 0; first < n; first += kPanelColumns) {
    DenseSketch window = gaussian;
    window.first_element = first;
    const TensorView panel(memory.data(), DType::f64, {k, std::min(kPanelColumns, n - first)});
    kernels.lift(window, 1.0, w.view(), 0.0, panel, plain_allocator(), {});
    kernels.project(window, 1.0, panel, first == 0 ? 0.0 : 1.0, result.view(), plain_allocator(), {});
  }
  return result;
}

/// Lower triangle of a w^T for lower triangular w.
Square times_transposed(const Square& a, const Square& w) {
  Square result(a.size());
  for (std::int64_t i = 0; i < a.size(); ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::int64_t p = 0; p <= j; ++p) sum += a.row(i)[p] * w.row(j)[p];
      result.row(i)[j] = sum;
    }
  }
  return result;
}

}  // namespace

std::vector<double> orthogonalizing_factor(SignKey key, std::int64_t k, std::int64_t n) {
  const DenseSketch gaussian{key, DenseDistribution::gaussian};
  Square w(k);
  for (std::int64_t i = 0; i < k; ++i) w.row(i)[i] = 1;
  // The Gram matrix of w G is near I in the second pass: its factor repairs what the first lost to the condition of G squared.
  for (int pass = 0; pass < 2; ++pass) {
    Square gram = times_transposed(times_gram(gaussian, w, n), w);
    cholesky(gram);
    solve_lower(gram, w);
  }
  return w.take();
}

}  // namespace panther
