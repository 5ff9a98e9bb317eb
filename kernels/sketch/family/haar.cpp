// Rows that are orthonormal and uniformly distributed: S = W G for the Gaussian G of the same key, never stored, and a triangular k x k factor W
// (kernels/sketch/row_orthogonalizer.h), found once, at the first use. A sub-block costs all k rows of G's columns.
#include <cmath>
#include <mutex>

#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/sketch/block.h"
#include "kernels/sketch/row_orthogonalizer.h"

namespace panther {
namespace {

/// Memory for one [rows, columns] matrix, row-major, for the time of a call.
struct Scratch {
  std::unique_ptr<Workspace> memory;
  TensorView view;
  Scratch(const SketchContext& context, const TensorView& like, DType dtype, std::int64_t rows, std::int64_t columns)
      : memory(std::make_unique<Workspace>(context.allocator, static_cast<std::size_t>(rows * columns) * size_of(dtype), like.device, context.stream)),
        view(memory->data(), dtype, {rows, columns}, like.device) {}
};

class HaarOperator final : public SketchOperator {
 public:
  explicit HaarOperator(SketchSpec spec) : spec_(std::move(spec)) {
    PANTHER_REQUIRE(spec_.rows <= spec_.columns, "haar sketch '", spec_.name, "': k = ", spec_.rows, " orthonormal rows do not fit into n = ", spec_.columns,
                    " dimensions");
  }

  const SketchSpec& spec() const override { return spec_; }
  // S S^T = I, so S^T S is a projection with trace k.
  double isometry_scale() const override { return std::sqrt(static_cast<double>(spec_.columns) / static_cast<double>(spec_.rows)); }
  SketchGrowth growth() const override { return SketchGrowth::none; }

  SketchCost cost(const SketchBlock& block, std::int64_t data_columns) const override {
    const SketchBlock b = resolve(spec_, block);
    const auto k = static_cast<double>(spec_.rows), c = static_cast<double>(data_columns);
    return {2 * k * c * (static_cast<double>(b.columns) + static_cast<double>(b.rows)), k * static_cast<double>(b.columns), spec_.rows * spec_.rows * 8};
  }

  void apply(const SketchContext& context, bool transpose, const SketchBlock& block, double alpha, const TensorView& a, double beta,
             const TensorView& out) const override {
    const SketchBlock b = resolve(spec_, block);
    require_apply(spec_, context, transpose, b, a, out);
    if (a.dtype != DType::bf16) return multiply(context, transpose, b, alpha, a, beta, out);
    // The product in the middle must not be rounded to 8 bits.
    const Scratch input(context, a, DType::f32, a.shape[0], a.shape[1]), output(context, out, DType::f32, out.shape[0], out.shape[1]);
    context.kernels.cast(a, input.view, context.stream);
    if (beta != 0) context.kernels.cast(out, output.view, context.stream);
    multiply(context, transpose, b, alpha, input.view, beta, output.view);
    context.kernels.cast(output.view, out, context.stream);
  }

  void materialize(const SketchContext& context, const SketchBlock& block, double scale, const TensorView& out) const override {
    const SketchBlock b = resolve(spec_, block);
    require_materialize(spec_, context, b, out);
    const Scratch w = factor(context, out, DType::f64), entries(context, out, DType::f64, b.rows, b.columns);
    kernels(context).lift(gaussian(b), scale, w.view.slice(b.first_row, b.rows), 0.0, entries.view, context.allocator, context.stream);
    context.kernels.cast(entries.view, out, context.stream);
  }

 private:
  static const DenseSketchKernels& kernels(const SketchContext& context) {
    if (context.kernels.dense_sketch == nullptr) fail(ErrorCode::Unsupported, "the kernel set '", context.kernels.name, "' has no dense sketches");
    return *context.kernels.dense_sketch;
  }
  SignKey key() const { return SignKey::of(spec_.seed, spec_.name, spec_.epoch); }
  DenseSketch gaussian(const SketchBlock& b) const { return {key(), DenseDistribution::gaussian, 0, b.first_column}; }

  /// a and out f32 or f64.
  void multiply(const SketchContext& context, bool transpose, const SketchBlock& b, double alpha, const TensorView& a, double beta, const TensorView& out) const {
    const Scratch w = factor(context, a, a.dtype), middle(context, a, a.dtype, spec_.rows, a.shape[1]);
    const TensorView rows = w.view.slice(b.first_row, b.rows);
    if (transpose) {
      kernels(context).multiply(1.0, rows.transposed(), a, 0.0, middle.view, context.stream);
      kernels(context).lift(gaussian(b), alpha, middle.view.transposed(), beta, out.transposed(), context.allocator, context.stream);
    } else {
      kernels(context).project(gaussian(b), 1.0, a.transposed(), 0.0, middle.view.transposed(), context.allocator, context.stream);
      kernels(context).multiply(alpha, rows, middle.view, beta, out, context.stream);
    }
  }

  /// W on the device of `like`.
  Scratch factor(const SketchContext& context, const TensorView& like, DType dtype) const {
    std::call_once(once_, [&] { factor_ = orthogonalizing_factor(key(), spec_.rows, spec_.columns); });
    const TensorView host(factor_.data(), DType::f64, {spec_.rows, spec_.rows});
    Scratch result(context, like, dtype, spec_.rows, spec_.rows);
    if (context.kernels.device == DeviceKind::cpu) {
      context.kernels.cast(host, result.view, context.stream);
      return result;
    }
    const Scratch staged(context, like, DType::f64, spec_.rows, spec_.rows);
    copy_async(staged.view.data, host.data, static_cast<std::size_t>(host.bytes()), context.stream);
    context.kernels.cast(staged.view, result.view, context.stream);
    return result;
  }

  SketchSpec spec_;
  mutable std::once_flag once_;
  mutable std::vector<double> factor_;
};

}  // namespace

void register_haar(SketchRegistry& registry) {
  registry.add("haar", [](const SketchSpec& spec) { return std::make_unique<HaarOperator>(spec); });
}

}  // namespace panther
