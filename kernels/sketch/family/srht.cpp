// R H D: random signs D, the Walsh-Hadamard matrix H of the next power of two N >= n (padding is implied), k of its N rows without
// replacement (Ailon, Chazelle 2009; Tropp, 1011.1595). H is unnormalised, so entries are +-1 and the isometry scale is 1 / sqrt(k), which is
// sqrt(N / k) / sqrt(N).
#include <bit>
#include <cmath>
#include <span>

#include "core/error.h"
#include "kernels/sketch/block.h"
#include "kernels/sketch/hadamard_kernels.h"
#include "kernels/sketch/sample_rows.h"

namespace panther {
namespace {

class Srht final : public SketchOperator {
 public:
  explicit Srht(const SketchSpec& spec) : spec_(spec), log2_size_(static_cast<int>(std::bit_width(static_cast<std::uint64_t>(spec.columns - 1)))) {
    const std::int64_t size = std::int64_t{1} << log2_size_;
    PANTHER_REQUIRE(spec.rows <= size, "srht sketch '", spec.name, "': has at most ", size, " rows (the power of two that holds ", spec.columns,
                    " columns), not ", spec.rows);
    samples_ = sample_without_replacement(key(), size, spec.rows);
  }

  const SketchSpec& spec() const override { return spec_; }
  double isometry_scale() const override { return 1.0 / std::sqrt(static_cast<double>(spec_.rows)); }
  /// The sample is a prefix of one permutation.
  SketchGrowth growth() const override { return SketchGrowth::rows; }

  SketchCost cost(const SketchBlock& block, std::int64_t data_columns) const override {
    const SketchBlock b = resolve(spec_, block);
    const double positions = static_cast<double>(std::int64_t{1} << log2_size_);
    return {positions * log2_size_ * static_cast<double>(data_columns), static_cast<double>(b.columns) / 32 + 2.0 * static_cast<double>(b.rows), spec_.rows * 8};
  }

  void apply(const SketchContext& context, bool transpose, const SketchBlock& block, double alpha, const TensorView& a, double beta,
             const TensorView& out) const override {
    const SketchBlock b = resolve(spec_, block);
    require_apply(spec_, context, transpose, b, a, out);
    const HadamardKernels& kernels = hadamard(context);
    (transpose ? kernels.lift : kernels.project)(window(b), b.first_column, alpha, a, beta, out, context.allocator, context.stream);
  }

  void materialize(const SketchContext& context, const SketchBlock& block, double scale, const TensorView& out) const override {
    const SketchBlock b = resolve(spec_, block);
    require_materialize(spec_, context, b, out);
    hadamard(context).expand(window(b), b.first_column, scale, out, context.allocator, context.stream);
  }

 private:
  SignKey key() const { return SignKey::of(spec_.seed, spec_.name, spec_.epoch); }

  SampledHadamard window(const SketchBlock& b) const {
    return {log2_size_, key(), std::span(samples_).subspan(static_cast<std::size_t>(b.first_row), static_cast<std::size_t>(b.rows))};
  }

  static const HadamardKernels& hadamard(const SketchContext& context) {
    const HadamardKernels* kernels = context.kernels.hadamard;
    if (kernels == nullptr) fail(ErrorCode::Unsupported, "the kernel set '", context.kernels.name, "' has no Hadamard sketches");
    return *kernels;
  }

  SketchSpec spec_;
  int log2_size_;
  std::vector<std::int64_t> samples_;
};

}  // namespace

void register_srht(SketchRegistry& registry) {
  registry.add("srht", [](const SketchSpec& spec) { return std::make_unique<Srht>(spec); });
}

}  // namespace panther
