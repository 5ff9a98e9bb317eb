#pragma once
// The operators whose entries are independent: rows of S are the vectors of a dense random matrix.
#include "kernels/sketch/dense_kernels.h"
#include "kernels/sketch/operator.h"

namespace panther {

class DenseOperator final : public SketchOperator {
 public:
  DenseOperator(SketchSpec spec, DenseDistribution distribution) : spec_(std::move(spec)), distribution_(distribution) {}

  const SketchSpec& spec() const override { return spec_; }
  double isometry_scale() const override;
  SketchGrowth growth() const override { return SketchGrowth::rows; }
  SketchCost cost(const SketchBlock& block, std::int64_t data_columns) const override;
  void apply(const SketchContext& context, bool transpose, const SketchBlock& block, double alpha, const TensorView& a, double beta,
             const TensorView& out) const override;
  void materialize(const SketchContext& context, const SketchBlock& block, double scale, const TensorView& out) const override;

 private:
  DenseSketch window(const SketchBlock& block) const;

  SketchSpec spec_;
  DenseDistribution distribution_;
};

}  // namespace panther
