#include "tools/linalg/true_error.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kernel_set.h"

namespace panther::tools {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{32} << 20;

std::int64_t block_rows(std::int64_t columns) { return std::max<std::int64_t>(1, kBlockBytes / (8 * std::max<std::int64_t>(columns, 1))); }

/// A host matrix in f64, row-major.
class Doubles {
 public:
  Doubles(std::int64_t rows, std::int64_t columns)
      : memory_(plain_allocator(), static_cast<std::size_t>(std::max<std::int64_t>(rows * columns, 1)) * 8, {}, {}),
        view_(memory_.data(), DType::f64, {rows, columns}) {}
  const TensorView& view() const { return view_; }
  TensorView first_rows(std::int64_t count) const { return view_.slice(0, count); }

 private:
  Workspace memory_;
  TensorView view_;
};

void gather(const TensorView& a_BN, std::span<const std::int64_t> columns, const TensorView& out_BN) {
  for (std::int64_t i = 0; i < a_BN.shape[0]; ++i)
    for (std::int64_t j = 0; j < a_BN.shape[1]; ++j)
      out_BN.as<double>()[i * out_BN.strides[0] + j] = a_BN.as<double>()[i * a_BN.strides[0] + columns[static_cast<std::size_t>(j)]];
}

double square_sum(const TensorView& block) {
  double sum = 0;
  cpu_kernels().sum_of_squares(std::span(&block, 1), TensorView(&sum, DType::f64, {1}), {});
  return sum;
}

}  // namespace

double true_relative_error(const MatrixInput& a, std::int64_t left_columns, const LeftRows& left, const TensorView& right_KN,
                           std::span<const std::int64_t> columns, const ShareDone& done) {
  const MatrixInput exact(a.file().path(), a.options(), DType::f64);
  const Doubles right(left_columns, a.columns());
  cpu_kernels().cast(right_KN, right.view(), {});
  const std::int64_t rows = std::min(block_rows(a.columns()), a.rows());
  const Doubles left_memory(rows, left_columns), gathered(columns.empty() ? 0 : rows, a.columns());
  double squares = 0, error = 0;
  exact.for_each_block(rows, [&](std::int64_t first, const TensorView& block) {
    const std::int64_t count = block.shape[0];
    squares += square_sum(block);
    left(first, block, left_memory.first_rows(count));
    TensorView target = block;
    if (!columns.empty()) {
      target = gathered.first_rows(count);
      gather(block, columns, target);
    }
    cpu_kernels().gemm(-1, left_memory.first_rows(count), right.view(), 1, target, {}, {}, {});
    error += square_sum(target);
    done(static_cast<double>(first + count) / static_cast<double>(a.rows()));
  });
  return squares > 0 ? std::sqrt(error / squares) : std::sqrt(error);
}

LeftRows rows_of(const TensorView& factor_MK) {
  return [factor_MK](std::int64_t first, const TensorView& a_BN, const TensorView& left_BK) {
    cpu_kernels().cast(factor_MK.slice(first, a_BN.shape[0]), left_BK, {});
  };
}

double orthogonality_error(const TensorView& q_MK) {
  const std::int64_t k = q_MK.shape[1], rows = std::min(block_rows(k), q_MK.shape[0]);
  const Doubles gram(k, k), block_memory(rows, k);
  for (std::int64_t first = 0; first < q_MK.shape[0]; first += rows) {
    const TensorView block = block_memory.first_rows(std::min(rows, q_MK.shape[0] - first));
    cpu_kernels().cast(q_MK.slice(first, block.shape[0]), block, {});
    cpu_kernels().gemm(1, block.transposed(), block, first == 0 ? 0 : 1, gram.view(), {}, {}, {});
  }
  for (std::int64_t i = 0; i < k; ++i) gram.view().as<double>()[i * k + i] -= 1;
  return std::sqrt(square_sum(gram.view()));
}

}  // namespace panther::tools
