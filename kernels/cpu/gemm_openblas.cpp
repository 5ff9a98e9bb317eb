#include <cblas.h>

#include <limits>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/parallel.h"

namespace panther::cpu {
namespace {

/// How row-major BLAS reads a matrix: as stored, or transposed, with the distance between stored rows.
struct Layout {
  bool usable = false;
  bool transposed = false;
  blasint leading = 0;
};

Layout layout_of(const TensorView& view) {
  constexpr std::int64_t limit = std::numeric_limits<blasint>::max();
  const std::int64_t rows = view.shape[0], columns = view.shape[1];
  if (rows > limit || columns > limit) return {};
  // The stride of a dimension of size 1 is arbitrary and never used.
  const bool unit_columns = columns == 1 || view.strides[1] == 1, unit_rows = rows == 1 || view.strides[0] == 1;
  const std::int64_t row_stride = rows == 1 ? columns : view.strides[0], column_stride = columns == 1 ? rows : view.strides[1];
  if (unit_columns && row_stride >= columns && row_stride <= limit) return {true, false, static_cast<blasint>(row_stride)};
  if (unit_rows && column_stride >= rows && column_stride <= limit) return {true, true, static_cast<blasint>(column_stride)};
  return {};
}

template <class T>
void add_bias(const TensorView& c_MN, const TensorView& bias_N, bool overwrite) {
  const std::int64_t columns = c_MN.shape[1], row_stride = c_MN.strides[0], column_stride = c_MN.strides[1], step = bias_N.strides[0];
  const T* bias = bias_N.as<const T>();
  parallel_for(c_MN.shape[0], c_MN.numel(), [&](std::int64_t i) {
    T* row = c_MN.as<T>() + i * row_stride;
    if (overwrite) {
      for (std::int64_t j = 0; j < columns; ++j) row[j * column_stride] = bias[j * step];
    } else {
      for (std::int64_t j = 0; j < columns; ++j) row[j * column_stride] += bias[j * step];
    }
  });
}

void multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m, blasint n, blasint k, float alpha, const float* a, blasint lda, const float* b,
              blasint ldb, float beta, float* c, blasint ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m, blasint n, blasint k, double alpha, const double* a, blasint lda, const double* b,
              blasint ldb, double beta, double* c, blasint ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

template <class T>
bool multiply_views(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N) {
  // BLAS stores c by rows: a c stored by columns is the row-stored c^T = b^T a^T.
  const bool flip = layout_of(c_MN).transposed;
  const TensorView left = flip ? b_KN.transposed() : a_MK, right = flip ? a_MK.transposed() : b_KN, out = flip ? c_MN.transposed() : c_MN;
  const Layout l = layout_of(left), r = layout_of(right), o = layout_of(out);
  if (!l.usable || !r.usable || !o.usable || o.transposed) return false;
  const bool biased = bias_N.data != nullptr, bias_first = biased && beta == 0;
  if (bias_first) add_bias<T>(c_MN, bias_N, true);
  multiply(l.transposed ? CblasTrans : CblasNoTrans, r.transposed ? CblasTrans : CblasNoTrans, static_cast<blasint>(out.shape[0]),
           static_cast<blasint>(out.shape[1]), static_cast<blasint>(left.shape[1]), static_cast<T>(alpha), left.as<const T>(), l.leading,
           right.as<const T>(), r.leading, bias_first ? T{1} : static_cast<T>(beta), out.as<T>(), o.leading);
  if (biased && !bias_first) add_bias<T>(c_MN, bias_N, false);
  return true;
}

}  // namespace

bool blas_gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N) {
  if (c_MN.dtype == DType::f64) return multiply_views<double>(alpha, a_MK, b_KN, beta, c_MN, bias_N);
  if (c_MN.dtype == DType::f32) return multiply_views<float>(alpha, a_MK, b_KN, beta, c_MN, bias_N);
  return false;
}

}  // namespace panther::cpu
