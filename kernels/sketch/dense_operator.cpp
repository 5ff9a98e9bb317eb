#include "kernels/sketch/dense_operator.h"

#include <cmath>

#include "core/error.h"
#include "kernels/sketch/block.h"

namespace panther {
namespace {

const DenseSketchKernels& dense_kernels(const SketchContext& context) {
  const DenseSketchKernels* kernels = context.kernels.dense_sketch;
  if (kernels == nullptr) fail(ErrorCode::Unsupported, "the kernel set '", context.kernels.name, "' has no dense sketches");
  return *kernels;
}

}  // namespace

// Entries have variance 1, so E[S^T S] = k I.
double DenseOperator::isometry_scale() const { return 1.0 / std::sqrt(static_cast<double>(spec_.rows)); }

SketchCost DenseOperator::cost(const SketchBlock& block, std::int64_t data_columns) const {
  const SketchBlock b = resolve(spec_, block);
  const double entries = static_cast<double>(b.rows) * static_cast<double>(b.columns);
  const double per_word = distribution_ == DenseDistribution::signs ? 32.0 : 1.0;
  return {2.0 * entries * static_cast<double>(data_columns), std::ceil(entries / per_word), 0};
}

DenseSketch DenseOperator::window(const SketchBlock& block) const {
  return {SignKey::of(spec_.seed, spec_.name, spec_.epoch), distribution_, block.first_row, block.first_column};
}

void DenseOperator::apply(const SketchContext& context, bool transpose, const SketchBlock& block, double alpha, const TensorView& a, double beta,
                          const TensorView& out) const {
  const SketchBlock b = resolve(spec_, block);
  require_apply(spec_, context, transpose, b, a, out);
  const DenseSketchKernels& kernels = dense_kernels(context);
  (transpose ? kernels.lift : kernels.project)(window(b), alpha, a.transposed(), beta, out.transposed(), context.allocator, context.stream);
}

void DenseOperator::materialize(const SketchContext& context, const SketchBlock& block, double scale, const TensorView& out) const {
  const SketchBlock b = resolve(spec_, block);
  require_materialize(spec_, context, b, out);
  dense_kernels(context).expand(window(b), scale, out, context.stream);
}

}  // namespace panther
