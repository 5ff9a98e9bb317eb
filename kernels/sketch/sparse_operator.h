#pragma once
// The operators with few entries in every column (count_sketch, saso) or in every row (laso, row_sampling).
#include "kernels/sketch/operator.h"
#include "kernels/sketch/sparse_kernels.h"

namespace panther {

class SparseOperator : public SketchOperator {
 public:
  /// `majors_are_rows`: the pattern's major vectors are rows of S (laso, row_sampling), else columns.
  SparseOperator(SketchSpec spec, SparsePattern pattern, bool majors_are_rows, double isometry_scale)
      : spec_(std::move(spec)), pattern_(pattern), majors_are_rows_(majors_are_rows), isometry_scale_(isometry_scale) {}

  const SketchSpec& spec() const override { return spec_; }
  double isometry_scale() const override { return isometry_scale_; }
  /// A row of its own counter does not know how many there are; a place in a column does.
  SketchGrowth growth() const override { return majors_are_rows_ ? SketchGrowth::rows : SketchGrowth::none; }
  SketchCost cost(const SketchBlock& block, std::int64_t data_columns) const override;
  void apply(const SketchContext& context, bool transpose, const SketchBlock& block, double alpha, const TensorView& a, double beta,
             const TensorView& out) const override;
  void materialize(const SketchContext& context, const SketchBlock& block, double scale, const TensorView& out) const override;

 protected:
  SparseWindow window(const SketchBlock& block) const;

  SketchSpec spec_;
  SparsePattern pattern_;
  bool majors_are_rows_;
  double isometry_scale_;
};

/// spec.nonzeros within [1, most]; throws InvalidArgument naming the operator.
int require_nonzeros(const SketchSpec& spec, std::int64_t most);

}  // namespace panther
