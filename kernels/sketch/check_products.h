#pragma once
// What every device's sparse and Hadamard entries require of their arguments. All throw InvalidArgument naming the entry and the value.
#include "kernels/sketch/hadamard_kernels.h"
#include "kernels/sketch/sparse_kernels.h"

namespace panther::check {

/// The pattern's own limits, and a window of `majors` x `minors` within 32-bit counters and the pattern; `out` is a floating matrix.
void sparse_window(const char* entry, const SparseWindow& window, std::int64_t majors, std::int64_t minors, const TensorView& out);
/// As well: a and out of one floating dtype and of equal columns.
void sparse_product(const char* entry, const SparseWindow& window, std::int64_t majors, std::int64_t minors, const TensorView& a, const TensorView& out);

/// Samples and positions within N, `samples` as many as the sketch has; `out` is a floating matrix.
void hadamard_window(const char* entry, const SampledHadamard& sketch, std::int64_t first_position, std::int64_t samples, std::int64_t positions,
                     const TensorView& out);
void hadamard_product(const char* entry, const SampledHadamard& sketch, std::int64_t first_position, std::int64_t samples, std::int64_t positions,
                      const TensorView& a, const TensorView& out);
/// x is a floating matrix whose rows are a power of two (or none).
void hadamard_transform(const TensorView& x_NC);

}  // namespace panther::check
