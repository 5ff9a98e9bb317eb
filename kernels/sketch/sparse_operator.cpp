#include "kernels/sketch/sparse_operator.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/sketch/block.h"

namespace panther {
namespace {

const SparseSketchKernels& sparse_kernels(const SketchContext& context) {
  const SparseSketchKernels* kernels = context.kernels.sparse_sketch;
  if (kernels == nullptr) fail(ErrorCode::Unsupported, "the kernel set '", context.kernels.name, "' has no sparse sketches");
  return *kernels;
}

}  // namespace

SparseWindow SparseOperator::window(const SketchBlock& block) const {
  if (majors_are_rows_) return {pattern_, block.first_row, block.first_column};
  return {pattern_, block.first_column, block.first_row};
}

// Entries of the block's major vectors, of which the window keeps its share on average.
SketchCost SparseOperator::cost(const SketchBlock& block, std::int64_t data_columns) const {
  const SketchBlock b = resolve(spec_, block);
  const double majors = static_cast<double>(majors_are_rows_ ? b.rows : b.columns), minors = static_cast<double>(majors_are_rows_ ? b.columns : b.rows);
  const double entries = majors * pattern_.nonzeros * minors / static_cast<double>(pattern_.minors);
  return {2.0 * entries * static_cast<double>(data_columns), 2.0 * majors * pattern_.nonzeros, 0};
}

void SparseOperator::apply(const SketchContext& context, bool transpose, const SketchBlock& block, double alpha, const TensorView& a, double beta,
                           const TensorView& out) const {
  const SketchBlock b = resolve(spec_, block);
  require_apply(spec_, context, transpose, b, a, out);
  const SparseSketchKernels& kernels = sparse_kernels(context);
  (transpose == majors_are_rows_ ? kernels.scatter : kernels.gather)(window(b), alpha, a, beta, out, context.allocator, context.stream);
}

void SparseOperator::materialize(const SketchContext& context, const SketchBlock& block, double scale, const TensorView& out) const {
  const SketchBlock b = resolve(spec_, block);
  require_materialize(spec_, context, b, out);
  sparse_kernels(context).expand(window(b), scale, majors_are_rows_ ? out : out.transposed(), context.allocator, context.stream);
}

int require_nonzeros(const SketchSpec& spec, std::int64_t most) {
  const std::int64_t limit = std::min<std::int64_t>(most, kMaxNonzeros);
  PANTHER_REQUIRE(spec.nonzeros >= 1 && spec.nonzeros <= limit, spec.kind, " sketch '", spec.name, "': nonzeros must be in [1, ", limit, "], is ",
                  spec.nonzeros, limit == kMaxNonzeros ? "; a denser operator is rademacher" : "");
  return static_cast<int>(spec.nonzeros);
}

}  // namespace panther
