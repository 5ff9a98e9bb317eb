#include "kernels/linalg/block_lanczos.h"

#include <algorithm>
#include <cmath>

#include "kernels/linalg/orthonormalize.h"

namespace panther::linalg {
namespace {

std::int64_t basis_limit(std::int64_t rows, std::int64_t columns, std::int64_t block, int steps) {
  return std::min({rows, columns, block * static_cast<std::int64_t>(steps + 1)});
}

}  // namespace

BlockLanczos::BlockLanczos(const Arithmetic& maths, const Input& a, std::int64_t block, int steps, const std::string& sketch_kind)
    : maths_(maths), whole_(replicated(maths.context())), a_(a), block_(block), most_(basis_limit(a.rows, a.columns, block, steps)) {
  left_ = maths_.matrix(a_.view.shape[0], most_);
  right_ = maths_.matrix(a_.columns, most_);
  core_ = maths_.zeros(most_, most_);
  last_ = maths_.sketch_columns(*maths_.sketch(sketch_kind, block, a_.columns, "range"), a_.view);
  ++passes_;
  orthonormalize(maths_.context(), last_.view());
  newest_ = block;
}

double BlockLanczos::bytes(std::int64_t local_rows, std::int64_t columns, std::int64_t block, int steps, DType dtype) {
  const double basis = static_cast<double>(block) * (steps + 1), side = static_cast<double>(local_rows + columns);
  return (side * (basis + 3.0 * static_cast<double>(block)) + 6 * basis * basis) * static_cast<double>(size_of(dtype));
}

void BlockLanczos::extend_right() {
  if (extended_) return;
  extended_ = true;
  next_ = std::min(newest_, most_ - size_);
  Matrix next = maths_.inner_product(a_.view, last_.columns_from(0, newest_));
  ++passes_;
  // Fewer than newest_ columns fit when V nearly spans everything; then those and V do, and the others lie in their span.
  const std::int64_t fits = std::min(newest_, a_.columns - size_);
  coupling_ = maths_.matrix(fits, newest_);
  if (fits == 0) return;
  const TensorView added = next.columns_from(0, fits);
  orthonormalize_against(whole_, right_.columns_from(0, size_), added, {}, coupling_.columns_from(0, fits));
  if (fits < newest_) {
    const std::int64_t others = newest_ - fits;
    maths_.multiply(1, added.transposed(), next.columns_from(fits, others), 0, coupling_.columns_from(fits, others));
  }
  if (next_ > 0) maths_.copy(next.columns_from(0, next_), right_.columns_from(size_, next_));
}

bool BlockLanczos::step() {
  extend_right();
  if (next_ == 0) return false;
  const TensorView block_MB = left_.columns_from(size_, next_);
  maths_.multiply(1, a_.view, right_.columns_from(size_, next_), 0, block_MB);
  ++passes_;
  orthonormalize_against(maths_.context(), left_.columns_from(0, size_), block_MB, core_.block(0, size_, size_, next_),
                         core_.block(size_, next_, size_, next_));
  last_ = maths_.copy_of(block_MB);
  newest_ = next_;
  size_ += next_;
  ++steps_;
  extended_ = false;
  return true;
}

BlockLanczos::Triplets BlockLanczos::triplets() const {
  Triplets result{maths_.matrix(size_, size_), maths_.matrix(size_, 1), maths_.matrix(size_, size_), {}};
  const Matrix core = maths_.copy_of(core_.block(0, size_, 0, size_)), transposed = maths_.matrix(size_, size_);
  maths_.lapack().svd(core.view(), result.left_LL.view(), result.s_L.column(0), transposed.view(), maths_.allocator(), maths_.stream());
  maths_.copy(transposed.view().transposed(), result.right_LL.view());
  result.values = maths_.download(result.s_L.view());
  return result;
}

std::vector<double> BlockLanczos::residuals(const Triplets& triplets, std::int64_t count) {
  extend_right();
  if (coupling_.rows() == 0) return std::vector<double>(static_cast<std::size_t>(count), 0.0);
  // A^T U = V T^T + next coupling E^T, E picking U's newest block: the residual of triplet i is coupling times those rows of left_i.
  const Matrix tail = maths_.product(coupling_.view(), triplets.left_LL.block(size_ - newest_, newest_, 0, count));
  std::vector<double> norms = maths_.column_squares(tail.view());
  for (double& norm : norms) norm = std::sqrt(norm);
  return norms;
}

}  // namespace panther::linalg
