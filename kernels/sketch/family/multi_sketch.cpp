// S = G C: a cheap sparse sketch C to a few times k rows, then a Gaussian G to k (Higgins, Boman, Yamazaki, 2508.14209; Sobczyk, Gallopoulos
// 2022). The cost of C with the tails of G; distortions multiply, (1 +- d1)(1 +- d2).
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/sketch/block.h"
#include "kernels/sketch/operator.h"

namespace panther {
namespace {

/// Of one panel in f32, where the data is bf16.
constexpr std::int64_t kPanelColumns = 256;

/// d^2 for a range of dimension d = k / 2, which is what CountSketch needs up to a constant; at least 4 k, at most n / 4 where that is more.
std::int64_t inner_rows(const SketchSpec& spec) {
  const std::int64_t k = spec.rows;
  if (spec.inner_rows == 0) return std::min(spec.columns, std::clamp(k / 2 * (k / 2), 4 * k, std::max(4 * k, spec.columns / 4)));
  PANTHER_REQUIRE(spec.inner_rows >= k && spec.inner_rows <= spec.columns, "multi_sketch '", spec.name, "': inner_rows must be 0 or in [", k, ", ",
                  spec.columns, "], is ", spec.inner_rows);
  return spec.inner_rows;
}

SketchSpec stage(const SketchSpec& spec, const char* kind, const char* suffix, std::int64_t rows, std::int64_t columns) {
  SketchSpec result = spec;
  result.kind = kind;
  result.name += suffix;
  result.rows = rows;
  result.columns = columns;
  return result;
}

class MultiSketch final : public SketchOperator {
 public:
  explicit MultiSketch(const SketchSpec& spec)
      : spec_(spec), between_(inner_rows(spec)), inner_(make_sketch(stage(spec, "count_sketch", "/inner", between_, spec.columns))),
        outer_(make_sketch(stage(spec, "gaussian", "/outer", spec.rows, between_))) {}

  const SketchSpec& spec() const override { return spec_; }
  double isometry_scale() const override { return inner_->isometry_scale() * outer_->isometry_scale(); }
  /// The default size of the inner sketch follows k.
  SketchGrowth growth() const override { return spec_.inner_rows == 0 ? SketchGrowth::none : SketchGrowth::rows; }

  SketchCost cost(const SketchBlock& block, std::int64_t data_columns) const override {
    const SketchBlock b = resolve(spec_, block);
    const SketchCost first = inner_->cost({0, between_, b.first_column, b.columns}, data_columns), second = outer_->cost({b.first_row, b.rows, 0, between_}, data_columns);
    return {first.flops + second.flops, first.generated + second.generated, first.stored_bytes + second.stored_bytes};
  }

  void apply(const SketchContext& context, bool transpose, const SketchBlock& block, double alpha, const TensorView& a, double beta,
             const TensorView& out) const override {
    const SketchBlock b = resolve(spec_, block);
    require_apply(spec_, context, transpose, b, a, out);
    if (a.dtype != DType::bf16) return apply_stages(context, transpose, b, alpha, a, beta, out);
    for (std::int64_t column = 0; column < a.shape[1]; column += kPanelColumns) {
      const std::int64_t columns = std::min(kPanelColumns, a.shape[1] - column);
      apply_in_f32(context, transpose, b, alpha, columns_of(a, column, columns), beta, columns_of(out, column, columns));
    }
  }

  // Rows of G spread over C's entries: C has one in a column, so every value is one of G's with a sign, and exact.
  void materialize(const SketchContext& context, const SketchBlock& block, double scale, const TensorView& out) const override {
    const SketchBlock b = resolve(spec_, block);
    require_materialize(spec_, context, b, out);
    const DType dtype = out.dtype == DType::f64 ? DType::f64 : DType::f32;
    const Temporary dense(context, out.device, dtype, b.rows, between_);
    outer_->materialize(context, {b.first_row, b.rows, 0, between_}, 1.0, dense.view);
    const Temporary wide(context, out.device, dtype, dtype == out.dtype ? 0 : b.rows, b.columns);
    const TensorView target = dtype == out.dtype ? out : wide.view;
    spread(context, b, scale, dense.view, target);
    if (dtype != out.dtype) context.kernels.cast(wide.view, out, context.stream);
  }

 private:
  struct Temporary {
    Workspace memory;
    TensorView view;
    Temporary(const SketchContext& context, Device device, DType dtype, std::int64_t rows, std::int64_t columns)
        : memory(context.allocator, static_cast<std::size_t>(rows * columns) * size_of(dtype), device, context.stream),
          view(memory.data(), dtype, {rows, columns}, device) {}
  };

  static TensorView columns_of(const TensorView& view, std::int64_t first, std::int64_t count) { return view.transposed().slice(first, count).transposed(); }

  /// out = scale dense C[:, block's columns].
  void spread(const SketchContext& context, const SketchBlock& b, double scale, const TensorView& dense,
                   const TensorView& out) const {
    inner_->apply(context, true, {0, between_, b.first_column, b.columns}, scale, dense.transposed(), 0.0, out.transposed());
  }

  void apply_stages(const SketchContext& context, bool transpose, const SketchBlock& b, double alpha, const TensorView& a, double beta,
                    const TensorView& out) const {
    const Temporary middle(context, a.device, a.dtype, between_, a.shape[1]);
    const SketchBlock first{0, between_, b.first_column, b.columns}, second{b.first_row, b.rows, 0, between_};
    (transpose ? *outer_ : *inner_).apply(context, transpose, transpose ? second : first, 1.0, a, 0.0, middle.view);
    (transpose ? *inner_ : *outer_).apply(context, transpose, transpose ? first : second, alpha, middle.view, beta, out);
  }

  /// Rounded to bf16 once, at the end.
  void apply_in_f32(const SketchContext& context, bool transpose, const SketchBlock& b, double alpha, const TensorView& a, double beta,
                    const TensorView& out) const {
    const Temporary wide(context, a.device, DType::f32, a.shape[0], a.shape[1]), result(context, a.device, DType::f32, out.shape[0], out.shape[1]);
    context.kernels.cast(a, wide.view, context.stream);
    if (beta != 0) context.kernels.cast(out, result.view, context.stream);
    apply_stages(context, transpose, b, alpha, wide.view, beta, result.view);
    context.kernels.cast(result.view, out, context.stream);
  }

  SketchSpec spec_;
  std::int64_t between_;
  std::unique_ptr<SketchOperator> inner_, outer_;
};

}  // namespace

void register_multi_sketch(SketchRegistry& registry) {
  registry.add("multi_sketch", [](const SketchSpec& spec) { return std::make_unique<MultiSketch>(spec); });
}

}  // namespace panther
