#pragma once
// What the tests of sketch operators share: a spec that every kind accepts, operators run on any device, S as the truth in f64.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "kernels/sketch/operator.h"
#include "tests/kernels/device_copy.h"

namespace panther::test {

inline std::shared_ptr<const std::vector<double>> sampling_weights(std::int64_t n) {
  std::vector<double> weights;
  for (std::int64_t i = 0; i < n; ++i) weights.push_back(1.0 + static_cast<double>(i % 5));
  return std::make_shared<const std::vector<double>>(std::move(weights));
}

/// k <= n, which every kind allows.
inline SketchSpec sketch_spec(const std::string& kind, std::int64_t k, std::int64_t n, std::uint64_t seed = 7) {
  SketchSpec spec{.kind = kind, .rows = k, .columns = n, .seed = seed, .name = "test"};
  spec.nonzeros = std::min<std::int64_t>(4, k);
  if (kind == "row_sampling") spec.weights = sampling_weights(n);
  return spec;
}

inline Array materialized(const SketchOperator& sketch, const SketchContext& context, const SketchBlock& block, DType dtype, double scale = 1.0,
                          Layout layout = Layout::rows) {
  const std::int64_t rows = block.rows < 0 ? sketch.rows() - block.first_row : block.rows;
  const std::int64_t columns = block.columns < 0 ? sketch.columns() - block.first_column : block.columns;
  DeviceCopy copy(context.kernels, make_matrix(dtype, rows, columns, layout));
  sketch.materialize(context, block, scale, copy.view());
  return copy.fetch();
}

inline Array applied(const SketchOperator& sketch, const SketchContext& context, bool transpose, const SketchBlock& block, double alpha, const Array& a,
                     double beta, const Array& out) {
  DeviceCopy input(context.kernels, a), output(context.kernels, out);
  sketch.apply(context, transpose, block, alpha, input.view(), beta, output.view());
  return output.fetch();
}

/// Counts what is held at once; memory is the plain allocator's.
class CountingAllocator final : public Allocator {
 public:
  void* allocate(std::size_t bytes, Device device, Stream stream) override {
    void* pointer = plain_allocator().allocate(bytes, device, stream);
    sizes_.emplace_back(pointer, bytes);
    held_ += bytes;
    peak_ = std::max(peak_, held_);
    return pointer;
  }
  void release(void* pointer, Device device, Stream stream) noexcept override {
    for (auto& entry : sizes_) {
      if (entry.first == pointer) held_ -= entry.second, entry = {};
    }
    plain_allocator().release(pointer, device, stream);
  }
  std::size_t held() const { return held_; }
  std::size_t peak() const { return peak_; }

 private:
  std::vector<std::pair<void*, std::size_t>> sizes_;
  std::size_t held_ = 0, peak_ = 0;
};

}  // namespace panther::test
