#include "kernels/element/sample.h"
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"

namespace panther::cuda {
namespace {

struct Add {
  Sum v;
  float* next;  ///< or null: only the alarm
  float* alarm;
  bool aligned;
  __device__ void operator()(std::int64_t first, std::int64_t count) const {
    const Quad sum = v.quad(first, count);
    if (next != nullptr) store_quad(next, first, count, aligned, sum);
    raise_alarm(alarm, largest_magnitude(sum));
  }
};

/// The chosen element of group g.
__device__ std::int64_t chosen(std::uint64_t key, std::uint64_t step, std::int64_t g, std::int64_t stride, std::int64_t count) {
  return g * stride + sample_place(key, step, g, min(stride, count - g * stride));
}

struct Choose {
  SampleArguments a;
  __device__ void operator()(std::int64_t g) const {
    const std::int64_t at = chosen(a.key, a.step, g, a.stride, a.count);
    const float value = a.next == nullptr ? a.gradient[at] : a.next[at];
    a.values[g] = a.unbiased ? value * static_cast<float>(min(a.stride, a.count - g * a.stride)) : value;
    if (a.next != nullptr) a.next[at] = 0;
  }
};

struct Place {
  const float* values;
  std::int64_t count, stride;
  std::uint64_t key, step;
  float* out;
  __device__ void operator()(std::int64_t g) const { out[chosen(key, step, g, stride, count)] = values[g]; }
};

}  // namespace

void sample(const SampleArguments& a, Stream stream) {
  if (a.count == 0) return;
  if (a.next != nullptr || a.alarm != nullptr) {
    for_quads(Add{{a.gradient, a.residual}, a.next, a.alarm, aligned16(a.next)}, a.count, native(stream), "sample");
  }
  for_indices(Choose{a}, divide_up(a.count, a.stride), native(stream), "sample");
}

void place(const float* values, std::int64_t count, std::int64_t stride, std::uint64_t key, std::uint64_t step, float* out, Stream stream) {
  if (count == 0) return;
  clear(out, count * static_cast<std::int64_t>(sizeof(float)), stream);
  for_indices(Place{values, count, stride, key, step, out}, divide_up(count, stride), native(stream), "place");
}

}  // namespace panther::cuda
