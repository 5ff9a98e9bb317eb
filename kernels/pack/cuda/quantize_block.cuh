#pragma once
// What the kernels that quantise share: a block of elements, the sums that choose its coding, and its codes.
#include "kernels/pack/cuda/quads.cuh"
#include "kernels/cuda/team_sum.cuh"
#include "kernels/pack/quantize_coding.h"

namespace panther::cuda {

/// All that quantize was asked for.
struct QuantizeTask {
  Sum v;
  float* next;
  std::int64_t count, block, blocks;
  std::byte* packed;
  std::byte* codes;
  std::int64_t padding;  ///< bytes behind the codes
  int bits;
  float limit, normal;   ///< L; the step of a normal distribution
  bool stochastic, aligned;
  std::uint64_t key, step;
};

/// One block of elements; its quads go round the team.
struct Piece {
  std::int64_t index, first, count;
};

__device__ inline Coding coding_of_largest(const QuantizeTask& task, std::uint32_t largest, float* no_clip) {
  const float normaliser = quantize_normaliser(largest);
  *no_clip = float_of(largest) * normaliser / task.limit;
  return scaled_coding(normaliser, task.limit, *no_clip, *no_clip);
}

/// What one quad adds to the sums that the step is chosen by.
struct Fits {
  Fit whole, clipped;
  __device__ void add(const Quad& v, float normaliser, float inverse_whole, float inverse_clipped, float limit) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float w = v.at[i] * normaliser;
      const float a = nearest_integer(w * inverse_whole), b = quantize_level(w, inverse_clipped, limit);
      whole.cross += w * a;
      whole.levels += a * a;
      clipped.cross += w * b;
      clipped.levels += b * b;
    }
  }
  template <int kTeam>
  __device__ void join() {
    const Plus<float> plus;
    whole = {join_team<kTeam>(whole.cross, plus), join_team<kTeam>(whole.levels, plus)};
    clipped = {join_team<kTeam>(clipped.cross, plus), join_team<kTeam>(clipped.levels, plus)};
  }
};

__device__ inline Quad magnitudes(const Quad& v, float normaliser) {
  Quad result;
#pragma unroll
  for (int i = 0; i < 4; ++i) result.at[i] = fabsf(v.at[i] * normaliser);
  return result;
}

__device__ inline void write_bytes(std::byte* to, std::uint64_t word, int bytes) {
  switch (bytes) {  // codes begin at a multiple of 4 bytes
    case 8: reinterpret_cast<std::uint32_t*>(to)[1] = static_cast<std::uint32_t>(word >> 32); [[fallthrough]];
    case 4: reinterpret_cast<std::uint32_t*>(to)[0] = static_cast<std::uint32_t>(word); return;
    case 2: *reinterpret_cast<std::uint16_t*>(to) = static_cast<std::uint16_t>(word); return;
    default:
      for (int i = 0; i < bytes; ++i) to[i] = static_cast<std::byte>(word >> (8 * i));
  }
}

/// Codes of a quad into the packed memory, with those of the lane beside; what is left into `next`. All lanes of a warp call it.
__device__ inline void code_quad(const QuantizeTask& task, const Piece& piece, std::int64_t quad, const Quad& v, const Coding& coding, bool finite) {
  const std::int64_t at = 4 * quad, first = piece.first + at;
  PhiloxBlock random{};
  if (task.stochastic) {
    const auto counter = static_cast<std::uint64_t>(first) / 4;
    random = philox({{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), static_cast<std::uint32_t>(task.step),
                      static_cast<std::uint32_t>(task.step >> 32)}}, PhiloxKey::from(task.key));
  }
  Quad left = v;
  std::uint32_t codes = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float w = v.at[i] * coding.normaliser, uniform = uniform_open(random.word[i]);
    float level;
    if (task.bits == 1) level = task.stochastic ? quantize_sign_random(w, coding.inverse_step, uniform) : quantize_sign(w);
    else level = task.stochastic ? quantize_level_random(w, coding.inverse_step, task.limit, uniform) : quantize_level(w, coding.inverse_step, task.limit);
    if (!finite) level = task.limit;
    else left.at[i] -= coding.scale * level;
    const auto code = static_cast<std::uint32_t>(level + task.limit);
    if (at + i < piece.count) codes |= (task.bits == 1 ? code / 2 : code) << (i * task.bits);
  }
  if (task.next != nullptr && at < piece.count) store_quad(task.next + piece.first, at, piece.count, task.aligned, left);
  const std::uint32_t upper = __shfl_down_sync(~0u, codes, 1);
  if (quad % 2 == 0 && at < piece.count) {
    write_bytes(task.codes + first / 8 * task.bits, codes | static_cast<std::uint64_t>(upper) << (4 * task.bits), task.bits);
  }
}

__device__ inline void clear_padding(const QuantizeTask& task) {
  if (blockIdx.x == 0 && threadIdx.x < task.padding) task.packed[task.codes - task.packed + (task.count + 7) / 8 * task.bits + threadIdx.x] = std::byte{0};
}

__device__ inline Piece piece_of(const QuantizeTask& task, std::int64_t index) {
  return {index, index * task.block, min(task.block, task.count - index * task.block)};
}

/// quantize for blocks that no team of threads holds in registers (quantize_long.cu).
void quantize_long(const QuantizeTask& task, unsigned blocks, cudaStream_t stream);

}  // namespace panther::cuda
