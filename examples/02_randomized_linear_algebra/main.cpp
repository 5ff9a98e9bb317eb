// Principal components and least squares on images of handwritten digits: randomized, and checked against LAPACK in the same program.
//
// Legend: M images, N pixels.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/kernel_set.h"
#include "kernels/linalg/context.h"
#include "kernels/linalg/lapack_kernels.h"
#include "kernels/linalg/least_squares.h"
#include "kernels/linalg/rsvd.h"
#include "kernels/matrix.h"

using namespace panther;

namespace {

constexpr int kPixels = 64, kDigits = 10, kComponents = 10;

struct Images {
  std::vector<double> pixels;  ///< M x N, row-major
  std::vector<int> digits;
  std::int64_t count() const { return static_cast<std::int64_t>(digits.size()); }
};

Images read_images(const char* path) {
  Images images;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream numbers(line);
    std::string number;
    for (int i = 0; i < kPixels && std::getline(numbers, number, ','); ++i) images.pixels.push_back(std::stod(number));
    std::getline(numbers, number);
    images.digits.push_back(std::stoi(number));
  }
  return images;
}

Matrix matrix(std::int64_t rows, std::int64_t columns) { return Matrix(plain_allocator(), {}, {}, DType::f64, rows, columns); }

double& at(const Matrix& matrix, std::int64_t row, std::int64_t column) {
  return matrix.view().as<double>()[column * matrix.view().strides[1] + row];
}

/// One process on the CPU; every random number follows from the seed.
linalg::Context seeded() {
  linalg::Context context;
  context.seed = 1;
  return context;
}

/// Pixels minus their means.
Matrix centered(const Images& images) {
  Matrix a = matrix(images.count(), kPixels);
  for (int j = 0; j < kPixels; ++j) {
    double mean = 0;
    for (std::int64_t i = 0; i < images.count(); ++i)
      mean += images.pixels[static_cast<std::size_t>(i * kPixels + j)] / static_cast<double>(images.count());
    for (std::int64_t i = 0; i < images.count(); ++i) at(a, i, j) = images.pixels[static_cast<std::size_t>(i * kPixels + j)] - mean;
  }
  return a;
}

void principal_components(const Images& images) {
  const Matrix a = centered(images);
  linalg::RsvdOptions options;
  options.rank = kComponents;
  options.power_iterations = 3;
  const linalg::SvdResult found = linalg::rsvd(seeded(), a.view(), options);

  // The whole SVD, by LAPACK. It destroys its input.
  const Matrix copy = centered(images), u = matrix(images.count(), kPixels), s = matrix(kPixels, 1), vt = matrix(kPixels, kPixels);
  cpu_kernels().lapack->svd(copy.view(), u.view(), s.column(0), vt.view(), plain_allocator(), {});
  double variance = 0, held = 0, worst = 0;
  for (int i = 0; i < kPixels; ++i) variance += at(s, i, 0) * at(s, i, 0);
  std::printf("principal components of %lld images of %d pixels\n  component  share of variance  together\n",
              static_cast<long long>(images.count()), kPixels);
  for (int i = 0; i < kComponents; ++i) {
    const double value = at(found.s_K, i, 0), share = value * value / variance;
    held += share;
    worst = std::fmax(worst, std::fabs(value - at(s, i, 0)) / at(s, i, 0));
    std::printf("  %9d  %17.4f  %8.4f\n", i + 1, share, held);
  }
  std::printf("  singular values differ from LAPACK's by less than 1e-6: %s\n", worst < 1e-6 ? "yes" : "no");
}

/// A column of ones and the pixels that are not the same in all images; one-hot digits.
struct Regression {
  Matrix a, b;
};

Regression regression(const Images& images) {
  const Matrix pixels = centered(images);
  std::vector<int> varying;
  for (int j = 0; j < kPixels; ++j) {
    double squares = 0;
    for (std::int64_t i = 0; i < images.count(); ++i) squares += at(pixels, i, j) * at(pixels, i, j);
    if (squares > 0) varying.push_back(j);
  }
  Regression result{matrix(images.count(), 1 + static_cast<std::int64_t>(varying.size())), matrix(images.count(), kDigits)};
  for (std::int64_t i = 0; i < images.count(); ++i) {
    at(result.a, i, 0) = 1;
    for (std::size_t j = 0; j < varying.size(); ++j) at(result.a, i, 1 + static_cast<std::int64_t>(j)) = at(pixels, i, varying[j]);
    for (int digit = 0; digit < kDigits; ++digit) at(result.b, i, digit) = images.digits[static_cast<std::size_t>(i)] == digit ? 1 : 0;
  }
  return result;
}

/// A X.
Matrix predictions(const Regression& problem, const TensorView& x) {
  Matrix result = matrix(problem.a.rows(), kDigits);
  cpu_kernels().gemm(1, problem.a.view(), x, 0, result.view(), {}, {}, {});
  return result;
}

double residual(const Regression& problem, const Matrix& predicted) {
  double squares = 0;
  for (std::int64_t i = 0; i < predicted.rows(); ++i)
    for (int j = 0; j < kDigits; ++j) squares += std::pow(at(predicted, i, j) - at(problem.b, i, j), 2);
  return std::sqrt(squares);
}

/// By Householder QR: R x = Q^T b.
double lapack_residual(const Images& images) {
  Regression problem = regression(images);
  const Regression whole = regression(images);
  const LapackKernels& lapack = *cpu_kernels().lapack;
  const std::int64_t n = problem.a.columns();
  const Matrix tau = matrix(n, 1);
  lapack.qr(problem.a.view(), tau.column(0), plain_allocator(), {});
  lapack.multiply_q(true, problem.a.view(), tau.column(0), problem.b.view(), plain_allocator(), {});
  const TensorView x = problem.b.block(0, n, 0, kDigits);
  lapack.solve_upper(Side::left, false, 1, problem.a.block(0, n, 0, n), x, plain_allocator(), {});
  return residual(whole, predictions(whole, x));
}

void least_squares(const Images& images) {
  const Regression problem = regression(images);
  const linalg::LeastSquaresResult found = linalg::least_squares(seeded(), problem.a.view(), problem.b.view());
  const Matrix predicted = predictions(problem, found.x_NC.view());
  int right = 0;
  for (std::int64_t i = 0; i < images.count(); ++i) {
    int best = 0;
    for (int digit = 1; digit < kDigits; ++digit)
      if (at(predicted, i, digit) > at(predicted, i, best)) best = digit;
    right += best == images.digits[static_cast<std::size_t>(i)];
  }
  const double ours = residual(problem, predicted), theirs = lapack_residual(images);
  std::printf("least squares: %lld equations, %lld unknowns for each of %d digits\n", static_cast<long long>(problem.a.rows()),
              static_cast<long long>(problem.a.columns()), kDigits);
  std::printf("  residual %.4f; above LAPACK's by less than 1e-9 of it: %s\n", ours, ours < theirs * (1 + 1e-9) ? "yes" : "no");
  std::printf("  the largest of the ten functions is the digit for %d of %lld images\n", right, static_cast<long long>(images.count()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s digits.csv\n", argv[0]);
    return 64;
  }
  const Images images = read_images(argv[1]);
  if (images.count() == 0) {
    std::fprintf(stderr, "error: '%s' holds no images\n", argv[1]);
    return 64;
  }
  principal_components(images);
  least_squares(images);
}
