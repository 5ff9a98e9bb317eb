// Elements by index, blends and zeros.
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"

namespace panther::cuda {
namespace {

struct Take {
  float* values;
  const std::uint32_t* indices;
  bool clear;
  float* out;
  __device__ void operator()(std::int64_t j) const {
    float& element = values[indices[j]];
    out[j] = element;
    if (clear) element = 0;
  }
};

struct Put {
  const float* in;
  const std::uint32_t* indices;
  bool add;
  std::int64_t count;
  float* values;
  float* alarm;
  __device__ void operator()(std::int64_t j) const {
    if (indices[j] >= count) return raise_alarm(alarm, kInfinityBits);
    float& element = values[indices[j]];
    element = add ? element + in[j] : in[j];
  }
};

struct Blend {
  float keep;
  const float* mean;
  const float* gradient;
  float* out;
  bool aligned;
  __device__ void operator()(std::int64_t first, std::int64_t count) const {
    const Quad a = load_quad(mean, first, count, aligned), b = load_quad(gradient, first, count, aligned);
    Quad sum;
#pragma unroll
    for (int i = 0; i < 4; ++i) sum.at[i] = keep * a.at[i] + (1 - keep) * b.at[i];
    store_quad(out, first, count, aligned, sum);
  }
};

}  // namespace

void take_elements(float* values, const std::uint32_t* indices, std::int64_t k, bool clear, float* out, Stream stream) {
  for_indices(Take{values, indices, clear, out}, k, native(stream), "take_elements");
}

void put_elements(const float* in, const std::uint32_t* indices, std::int64_t k, bool add, std::int64_t count, float* values, float* alarm,
                  Stream stream) {
  for_indices(Put{in, indices, add, count, values, alarm}, k, native(stream), "put_elements");
}

void running_mean(float keep, const float* mean, const float* gradient, std::int64_t count, float* out, Stream stream) {
  for_quads(Blend{keep, mean, gradient, out, aligned16(mean) && aligned16(gradient) && aligned16(out)}, count, native(stream), "running_mean");
}

void clear(void* memory, std::int64_t bytes, Stream stream) {
  if (bytes > 0) check_status(cudaMemsetAsync(memory, 0, static_cast<std::size_t>(bytes), native(stream)), "cudaMemsetAsync");
}

}  // namespace panther::cuda
