// A program of somebody else's: the sketched linear layer forward on the CPU against the dense product written out here, and a randomized SVD of a
// matrix of rank 3 against the matrix.
#include <cmath>
#include <cstdio>
#include <vector>

#include "kernels/linalg/rsvd.h"
#include "kernels/linear/sketched_linear.h"

using namespace panther;

namespace {

constexpr int kRows = 3, kInputs = 7, kOutputs = 5, kSketch = 2;
constexpr double kAlpha = 0.25;
constexpr std::uint64_t kSeed = 17;

double sign(const char* path, int vector, int element) { return sign_is_negative(SignKey::of(kSeed, path), vector, element) ? -1 : 1; }

// W[d, o] = alpha sum_r s1[r, d] u1[r, o] + u2[r, d] s2[r, o]
double weight(const std::vector<double>& s1_RD, const std::vector<double>& s2_RO, int d, int o) {
  double sum = 0;
  for (int r = 0; r < kSketch; ++r) {
    sum += s1_RD[r * kInputs + d] * sign("layer.u1", r, o) + sign("layer.u2", r, d) * s2_RO[r * kOutputs + o];
  }
  return kAlpha * sum;
}

/// Largest entry of |A - U diag(s) V^T| for a 40 x 12 matrix of rank 3 with entries below 3.
double rank_three_error() {
  constexpr int kTall = 40, kWide = 12, kRank = 3;
  std::vector<double> a(kTall * kWide);
  for (int i = 0; i < kTall; ++i) {
    for (int j = 0; j < kWide; ++j) {
      for (int r = 1; r <= kRank; ++r) a[i * kWide + j] += std::cos(r * i) * std::sin(r * j + 1.0);
    }
  }
  linalg::RsvdOptions options;
  options.rank = kRank;
  const linalg::SvdResult found = linalg::rsvd(linalg::Context{}, TensorView(a.data(), DType::f64, {kTall, kWide}), options);
  const auto at = [](const Matrix& matrix, int row, int column) { return matrix.view().as<double>()[column * matrix.view().strides[1] + row]; };
  double worst = 0;
  for (int i = 0; i < kTall; ++i) {
    for (int j = 0; j < kWide; ++j) {
      double sum = a[i * kWide + j];
      for (int r = 0; r < kRank; ++r) sum -= at(found.u_MK, i, r) * at(found.s_K, r, 0) * at(found.v_NK, j, r);
      worst = std::fmax(worst, std::fabs(sum));
    }
  }
  return worst;
}

}  // namespace

int main() {
  std::vector<double> pt(2 * kSketch * kInputs), q(2 * kSketch * kOutputs), x(kRows * kInputs), h(kRows * 2 * kSketch), y(kRows * kOutputs);
  const auto view = [](std::vector<double>& values, std::int64_t rows) {
    return TensorView(values.data(), DType::f64, {rows, static_cast<std::int64_t>(values.size()) / rows});
  };
  const SketchedLinearWeights weights{view(pt, 2 * kSketch), view(q, 2 * kSketch), kAlpha};
  expand_sketched_linear_signs(cpu_kernels(), kSeed, "layer", weights, {});
  std::vector<double> s1(kSketch * kInputs), s2(kSketch * kOutputs);
  for (std::size_t i = 0; i < s1.size(); ++i) pt[i] = s1[i] = std::sin(1.0 + static_cast<double>(i));
  for (std::size_t i = 0; i < s2.size(); ++i) q[kSketch * kOutputs + i] = s2[i] = std::cos(2.0 * static_cast<double>(i));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i) / 8 - 1;
  sketched_linear_forward(cpu_kernels(), weights, view(x, kRows), {}, view(h, kRows), view(y, kRows), {}, {});

  double worst = 0;
  for (int b = 0; b < kRows; ++b) {
    for (int o = 0; o < kOutputs; ++o) {
      double expected = 0;
      for (int d = 0; d < kInputs; ++d) expected += x[b * kInputs + d] * weight(s1, s2, d, o);
      worst = std::fmax(worst, std::fabs(expected - y[b * kOutputs + o]));
    }
  }
  const double svd_error = rank_three_error();
  std::printf("largest difference %.3g; of a matrix of rank 3 to its SVD %.3g\n", worst, svd_error);
  // Norms of A are below 60, so rounding leaves about 60 times 40 times 1e-16.
  if (!(svd_error < 1e-12)) return 1;
  return worst < 1e-13 ? 0 : 1;  // 28 products of magnitude below 2: far above their rounding, far below any mistake
}
