#include "kernels/cpu/lapack_products.h"

#include <algorithm>

#include "kernels/cpu/lapack_fortran.h"
#include "kernels/cpu/parallel.h"
#include "kernels/linalg/lapack_arguments.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kConvertedRows = 2048;  ///< rows of f32 turned into f64 at a time: a panel that a level-3 cache holds
constexpr std::int64_t kMirrorBlock = 64;
constexpr std::int64_t kSolvedRows = 512;  ///< rows of a tall right-hand side solved at a time: 4 MiB at 1024 columns of f64

int narrow(std::int64_t size) { return static_cast<int>(size); }  // checked by require_column_major

template <class Real>
void upper_syrk(std::int64_t rows, std::int64_t columns, const Real* a, std::int64_t lda, Real beta, Real* g, std::int64_t ldg) {
  const int n = narrow(columns), k = narrow(rows), la = narrow(lda), lg = narrow(ldg);
  const Real one = 1;
  Lapack<Real>::syrk("U", "T", &n, &k, &one, a, &la, &beta, g, &lg, 1, 1);
}

/// The lower triangle from the upper one, by blocks, so that neither side is walked with a stride for long.
template <class Real>
void mirror(Real* g, std::int64_t columns, std::int64_t leading) {
  const std::int64_t blocks = (columns + kMirrorBlock - 1) / kMirrorBlock;
  parallel_for(blocks, columns * columns, [&](std::int64_t block) {
    const std::int64_t first = block * kMirrorBlock, last = std::min(columns, first + kMirrorBlock);
    for (std::int64_t i0 = first; i0 < columns; i0 += kMirrorBlock) {
      for (std::int64_t j = first; j < last; ++j) {
        for (std::int64_t i = std::max(i0, j + 1); i < std::min(columns, i0 + kMirrorBlock); ++i) g[i + j * leading] = g[j + i * leading];
      }
    }
  });
}

/// Products of f32 are exact in f64, and the sums are f64's.
void widened_gram(const TensorView& a_MN, const TensorView& g_NN, Allocator& allocator, Stream stream) {
  const std::int64_t rows = a_MN.shape[0], columns = a_MN.shape[1], lda = linalg::leading_dimension(a_MN);
  const std::int64_t height = std::min(rows, kConvertedRows);
  Workspace memory(allocator, static_cast<std::size_t>(height * columns) * sizeof(double), Device{}, stream);
  double* panel = static_cast<double*>(memory.data());
  for (std::int64_t first = 0; first < rows; first += height) {
    const std::int64_t count = std::min(height, rows - first);
    parallel_for(columns, count * columns, [&](std::int64_t j) {
      const float* source = a_MN.as<const float>() + first + j * lda;
      std::copy(source, source + count, panel + j * height);
    });
    upper_syrk<double>(count, columns, panel, height, first == 0 ? 0.0 : 1.0, g_NN.as<double>(), linalg::leading_dimension(g_NN));
  }
}

template <class Real>
void gram_of(const TensorView& a_MN, const TensorView& g_NN) {
  upper_syrk<Real>(a_MN.shape[0], a_MN.shape[1], a_MN.as<const Real>(), linalg::leading_dimension(a_MN), Real{0}, g_NN.as<Real>(),
                   linalg::leading_dimension(g_NN));
  mirror(g_NN.as<Real>(), g_NN.shape[0], linalg::leading_dimension(g_NN));
}

template <class Real, class Routine>
void triangular_block(Routine routine, Side side, bool transpose, double alpha, const TensorView& t_NN, const TensorView& b) {
  const int m = narrow(b.shape[0]), n = narrow(b.shape[1]), lt = narrow(linalg::leading_dimension(t_NN)), lb = narrow(linalg::leading_dimension(b));
  const Real factor = static_cast<Real>(alpha);
  routine(side == Side::left ? "L" : "R", "U", transpose ? "T" : "N", "N", &m, &n, &factor, t_NN.as<const Real>(), &lt, b.as<Real>(), &lb, 1, 1, 1, 1);
}

/// Rows are independent of each other. Handed over whole, a tall matrix walks columns megabytes apart; panels of rows stay in cache, one on each
/// core, and the result does not depend on how many there are.
template <class Real, class Routine>
void triangular(Routine routine, Side side, bool transpose, double alpha, const TensorView& t_NN, const TensorView& b) {
  const std::int64_t rows = b.shape[0], panels = (rows + kSolvedRows - 1) / kSolvedRows;
  if (side == Side::left || panels < 4 || b.shape[1] == 1) return triangular_block<Real>(routine, side, transpose, alpha, t_NN, b);
  parallel_for(panels, b.numel() * b.shape[1], [&](std::int64_t panel) {
    const std::int64_t first = panel * kSolvedRows;
    triangular_block<Real>(routine, side, transpose, alpha, t_NN, b.slice(first, std::min(kSolvedRows, rows - first)));
  });
}

}  // namespace

void gram(const TensorView& a_MN, const TensorView& g_NN, Allocator& allocator, Stream stream) {
  linalg::check_gram(a_MN, g_NN, DeviceKind::cpu);
  if (g_NN.numel() == 0) return;
  if (a_MN.dtype == g_NN.dtype) return g_NN.dtype == DType::f64 ? gram_of<double>(a_MN, g_NN) : gram_of<float>(a_MN, g_NN);
  const std::int64_t leading = linalg::leading_dimension(g_NN);
  if (a_MN.shape[0] == 0) {
    for (std::int64_t j = 0; j < g_NN.shape[1]; ++j) std::fill_n(g_NN.as<double>() + j * leading, g_NN.shape[0], 0.0);
    return;
  }
  widened_gram(a_MN, g_NN, allocator, stream);
  mirror(g_NN.as<double>(), g_NN.shape[0], leading);
}

void solve_upper(Side side, bool transpose, double alpha, const TensorView& t_NN, const TensorView& b, Allocator&, Stream) {
  linalg::check_triangular(side, t_NN, b, DeviceKind::cpu);
  if (b.numel() == 0) return;
  if (b.dtype == DType::f64) return triangular<double>(Lapack<double>::trsm, side, transpose, alpha, t_NN, b);
  triangular<float>(Lapack<float>::trsm, side, transpose, alpha, t_NN, b);
}

void divide_by_pivoted(const TensorView& r_NN, const TensorView& b_MN, Allocator& allocator, Stream stream) {
  solve_upper(Side::right, false, 1, r_NN, b_MN, allocator, stream);
}

void multiply_upper(Side side, bool transpose, const TensorView& t_NN, const TensorView& b, Allocator&, Stream) {
  linalg::check_triangular(side, t_NN, b, DeviceKind::cpu);
  if (b.numel() == 0) return;
  if (b.dtype == DType::f64) return triangular<double>(Lapack<double>::trmm, side, transpose, 1.0, t_NN, b);
  triangular<float>(Lapack<float>::trmm, side, transpose, 1.0, t_NN, b);
}

}  // namespace panther::cpu
