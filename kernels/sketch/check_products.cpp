#include "kernels/sketch/check_products.h"

#include "core/error.h"
#include "core/text.h"
#include "kernels/check_arguments.h"

namespace panther::check {
namespace {

constexpr std::int64_t kCounterLimit = std::int64_t{1} << 32;

void require_matrix(const char* entry, const char* what, const TensorView& view) {
  PANTHER_REQUIRE(view.dims == 2 && is_floating(view.dtype), entry, ": ", what, " must be a floating matrix, is ", describe(view));
}

void require_pair(const char* entry, const TensorView& a, const TensorView& out) {
  require_matrix(entry, "a", a);
  require_matrix(entry, "out", out);
  PANTHER_REQUIRE(a.dtype == out.dtype && a.shape[1] == out.shape[1], entry, ": a ", describe(a), " and out ", describe(out),
                  " must have one dtype and equal columns");
}

void require_part(const char* entry, const char* what, std::int64_t first, std::int64_t count, std::int64_t size) {
  PANTHER_REQUIRE(first >= 0 && count >= 0 && first <= size - count, entry, ": ", what, " [", first, ", ", first + count, ") leave [0, ", size, ")");
}

}  // namespace

void sparse_window(const char* entry, const SparseWindow& window, std::int64_t majors, std::int64_t minors, const TensorView& out) {
  const SparsePattern& pattern = window.pattern;
  require_matrix(entry, "out", out);
  PANTHER_REQUIRE(pattern.nonzeros >= 1 && pattern.nonzeros <= kMaxNonzeros, entry, ": nonzeros must be in [1, ", kMaxNonzeros, "], is ", pattern.nonzeros);
  PANTHER_REQUIRE(pattern.draw != PatternDraw::distinct || pattern.nonzeros <= pattern.minors, entry, ": ", pattern.nonzeros,
                  " distinct places do not fit into ", pattern.minors);
  PANTHER_REQUIRE(pattern.minors >= 1 && pattern.minors <= kCounterLimit, entry, ": places must be in [1, 2^32], are ", pattern.minors);
  require_part(entry, "places", window.first_minor, minors, pattern.minors);
  require_part(entry, "major vectors", window.first_major, majors, kCounterLimit);
}

void sparse_product(const char* entry, const SparseWindow& window, std::int64_t majors, std::int64_t minors, const TensorView& a, const TensorView& out) {
  require_pair(entry, a, out);
  sparse_window(entry, window, majors, minors, out);
}

void hadamard_window(const char* entry, const SampledHadamard& sketch, std::int64_t first_position, std::int64_t samples, std::int64_t positions,
                     const TensorView& out) {
  require_matrix(entry, "out", out);
  PANTHER_REQUIRE(sketch.log2_size >= 0 && sketch.log2_size <= 32, entry, ": log2 of the size must be in [0, 32], is ", sketch.log2_size);
  const std::int64_t size = std::int64_t{1} << sketch.log2_size;
  PANTHER_REQUIRE(samples == static_cast<std::int64_t>(sketch.samples.size()), entry, ": ", samples, " rows for ", sketch.samples.size(), " samples");
  require_part(entry, "positions", first_position, positions, size);
  for (const std::int64_t sample : sketch.samples) {
    PANTHER_REQUIRE(sample >= 0 && sample < size, entry, ": sample ", sample, " is not below ", size);
  }
}

void hadamard_product(const char* entry, const SampledHadamard& sketch, std::int64_t first_position, std::int64_t samples, std::int64_t positions,
                      const TensorView& a, const TensorView& out) {
  require_pair(entry, a, out);
  hadamard_window(entry, sketch, first_position, samples, positions, out);
}

void hadamard_transform(const TensorView& x_NC) {
  require_matrix("hadamard_transform", "x", x_NC);
  PANTHER_REQUIRE((x_NC.shape[0] & (x_NC.shape[0] - 1)) == 0, "hadamard_transform: the rows must be a power of two (or none), are ", x_NC.shape[0]);
}

}  // namespace panther::check
