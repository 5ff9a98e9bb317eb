// Each tensor is cut into blocks of fixed size; a block's sum has a fixed shape, and blocks are added in order. So the
// result is the same for any thread count and any vector width.
#include <algorithm>

#include "kernels/check_arguments.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/convert.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kBlock = 4096;
constexpr std::int64_t kGroup = 1024;  // blocks whose sums stand on the stack together
constexpr int kLanes = 16;

template <class T>
PANTHER_VECTORISED double contiguous_block(const T* values, std::int64_t count) {
  double lane[kLanes] = {};
  const std::int64_t whole = count / kLanes * kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const double value = convert<double>(values[i + j]);
      lane[j] += value * value;
    }
  }
  for (std::int64_t i = whole; i < count; ++i) {
    const double value = convert<double>(values[i]);
    lane[i - whole] += value * value;
  }
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lane[j] += lane[j + width];
  }
  return lane[0];
}

/// Elements [first, first + count) of a strided view in row-major order, one after the other.
template <class T>
void gather(const TensorView& view, std::int64_t first, std::int64_t count, T* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = first + i, at = 0;
    for (int d = view.dims - 1; d >= 0; --d) {
      at += rest % view.shape[d] * view.strides[d];
      rest /= view.shape[d];
    }
    out[i] = view.as<const T>()[at];
  }
}

template <class T>
double tensor_sum(const TensorView& view) {
  const std::int64_t count = view.numel(), blocks = (count + kBlock - 1) / kBlock;
  const bool contiguous = view.is_contiguous();
  double total = 0;
  for (std::int64_t group = 0; group < blocks; group += kGroup) {
    double sums[kGroup];
    const std::int64_t size = std::min(kGroup, blocks - group);
    parallel_for(size, size * kBlock, [&](std::int64_t i) {
      const std::int64_t first = (group + i) * kBlock, length = std::min(kBlock, count - first);
      if (contiguous) {
        sums[i] = contiguous_block(view.as<const T>() + first, length);
      } else {
        T values[kBlock];
        gather(view, first, length, values);
        sums[i] = contiguous_block(values, length);
      }
    });
    for (std::int64_t i = 0; i < size; ++i) total += sums[i];
  }
  return total;
}

}  // namespace

void sum_of_squares(std::span<const TensorView> tensors, const TensorView& sum_f64, Stream) {
  check::sum_of_squares(tensors, sum_f64);
  double total = 0;
  for (const TensorView& tensor : tensors) {
    if (tensor.dtype == DType::f64) total += tensor_sum<double>(tensor);
    if (tensor.dtype == DType::f32) total += tensor_sum<float>(tensor);
    if (tensor.dtype == DType::bf16) total += tensor_sum<Bf16>(tensor);
    if (tensor.dtype == DType::f16) total += tensor_sum<F16>(tensor);
  }
  *sum_f64.as<double>() = total;
}

}  // namespace panther::cpu
