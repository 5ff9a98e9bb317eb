#pragma once
// What every device's entries require of their arguments. All throw InvalidArgument naming the entry and the value.
#include <span>
#include <string>

#include "kernels/kernel_set.h"
#include "kernels/sketch/dense_kernels.h"

namespace panther::check {

/// "f32[3, 5]" for messages.
std::string describe(const TensorView& view);

void gemm(const TensorView& a_MK, const TensorView& b_KN, const TensorView& c_MN, const TensorView& bias_N);
void sign_expand(std::int64_t first_vector, std::int64_t first_element, const TensorView& out_VE);
/// x is [B, n] and out is [B, m]: floating, two dimensions, equal rows; vectors and elements within the counters' range.
void sign_product(const char* entry, const TensorView& x, const TensorView& out, std::int64_t vectors, std::int64_t elements);
/// The same for a window of a dense sketch.
void dense_product(const char* entry, const DenseSketch& sketch, const TensorView& x, const TensorView& out, std::int64_t vectors, std::int64_t elements);
void cast(const TensorView& source, const TensorView& destination);
void packed_sum(std::span<const TensorView> sources, const TensorView& destination);
void scale(const TensorView& destination);
void sum_of_squares(std::span<const TensorView> tensors, const TensorView& sum_f64);
/// `moments`: how many moment buffers the optimizer uses (0, 1 or 2).
void optimizer(const char* entry, std::span<const OptimizerTensor> tensors, int moments);

}  // namespace panther::check
