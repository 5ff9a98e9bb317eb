// A team of threads takes the elements that share a scale: it holds them in registers, so that memory is read and written once. Blocks too long for that
// are read again, from the nearest cache that has them.
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"
#include "kernels/pack/cuda/quantize_plan.h"
#include "kernels/pack/cuda/team_sum.cuh"
#include "kernels/pack/quantize_coding.h"

namespace panther::cuda {
namespace {

struct Task {
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

template <int kTeam>
__device__ int place_in_team() { return static_cast<int>(threadIdx.x) % kTeam; }

__device__ Coding coding_of_largest(const Task& task, std::uint32_t largest, float* no_clip) {
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

__device__ Quad magnitudes(const Quad& v, float normaliser) {
  Quad result;
#pragma unroll
  for (int i = 0; i < 4; ++i) result.at[i] = fabsf(v.at[i] * normaliser);
  return result;
}

__device__ void write_bytes(std::byte* to, std::uint64_t word, int bytes) {
  switch (bytes) {  // codes begin at a multiple of 4 bytes
    case 8: reinterpret_cast<std::uint32_t*>(to)[1] = static_cast<std::uint32_t>(word >> 32); [[fallthrough]];
    case 4: reinterpret_cast<std::uint32_t*>(to)[0] = static_cast<std::uint32_t>(word); return;
    case 2: *reinterpret_cast<std::uint16_t*>(to) = static_cast<std::uint16_t>(word); return;
    default:
      for (int i = 0; i < bytes; ++i) to[i] = static_cast<std::byte>(word >> (8 * i));
  }
}

/// Codes of a quad into the packed memory, with those of the lane beside; what is left into `next`. All lanes of a warp call it.
__device__ void code_quad(const Task& task, const Piece& piece, std::int64_t quad, const Quad& v, const Coding& coding, bool finite) {
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

/// The coding of a block held in registers.
template <int kTeam, int kQuads>
__device__ Coding choose(const Task& task, const Quad (&v)[kQuads], std::int64_t count, std::uint32_t largest) {
  if (largest >= kInfinityBits) return nonfinite_coding();
  if (largest == 0) return {};
  float no_clip;
  const Coding simple = coding_of_largest(task, largest, &no_clip);
  if (task.stochastic) return simple;
  const float normaliser = simple.normaliser;
  float sum = 0;
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const Quad w = magnitudes(v[q], normaliser);
#pragma unroll
    for (int i = 0; i < 4; ++i) sum += task.bits == 1 ? w.at[i] : w.at[i] * w.at[i];
  }
  sum = join_team<kTeam>(sum, Plus<float>());
  if (task.bits == 1) return scaled_coding(normaliser, task.limit, 1, sum / static_cast<float>(count));
  const float normal = task.normal * sqrtf(sum / static_cast<float>(count));
  const float inverse_whole = 1.0f / no_clip, inverse_clipped = 1.0f / fminf(normal, no_clip);
  Fits fits{};
#pragma unroll
  for (int q = 0; q < kQuads; ++q) fits.add(v[q], normaliser, inverse_whole, inverse_clipped, task.limit);
  fits.join<kTeam>();
  return better_coding(normaliser, task.limit, no_clip, fits.whole, normal, fits.clipped);
}

__device__ void clear_padding(const Task& task) {
  if (blockIdx.x == 0 && threadIdx.x < task.padding) task.packed[task.codes - task.packed + (task.count + 7) / 8 * task.bits + threadIdx.x] = std::byte{0};
}

__device__ Piece piece_of(const Task& task, std::int64_t index) {
  return {index, index * task.block, min(task.block, task.count - index * task.block)};
}

template <int kTeam, int kQuads>
__global__ void __launch_bounds__(kTeam < kThreads ? kThreads : kTeam) held_kernel(Task task) {
  constexpr int kTeams = kTeam < kThreads ? kThreads / kTeam : 1;
  clear_padding(task);
  const int place = place_in_team<kTeam>();
  for (std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * kTeams + threadIdx.x / kTeam; index < task.blocks; index += static_cast<std::int64_t>(gridDim.x) * kTeams) {
    const Piece piece = piece_of(task, index);
    const Sum v = task.v.from(piece.first);
    Quad held[kQuads];
    std::uint32_t largest = 0;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) held[q] = v.quad(4 * (place + q * kTeam), piece.count);
#pragma unroll
    for (int q = 0; q < kQuads; ++q) largest = max(largest, largest_magnitude(held[q]));
    largest = join_team<kTeam>(largest, Larger<std::uint32_t>());
    const Coding coding = choose<kTeam>(task, held, piece.count, largest);
    if (place == 0) reinterpret_cast<float*>(task.packed)[index] = coding.scale;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) code_quad(task, piece, place + q * kTeam, held[q], coding, largest < kInfinityBits);
  }
}

constexpr int kLongTeam = 1024;

/// Blocks that no team can hold. Sums of magnitudes and squares are in f64, which needs no normaliser and so no sweep of its own for the largest.
__global__ void __launch_bounds__(kLongTeam) long_kernel(Task task) {
  clear_padding(task);
  const int place = static_cast<int>(threadIdx.x);
  for (std::int64_t index = blockIdx.x; index < task.blocks; index += gridDim.x) {
    const Piece piece = piece_of(task, index);
    const Sum v = task.v.from(piece.first);
    const std::int64_t quads = (piece.count + 3) / 4, turns = (quads + kLongTeam - 1) / kLongTeam;
    std::uint32_t largest = 0;
    double sum = 0;
#pragma unroll 4
    for (std::int64_t q = place; q < quads; q += kLongTeam) {
      const Quad quad = v.quad(4 * q, piece.count);
      largest = max(largest, largest_magnitude(quad));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const double value = static_cast<double>(quad.at[i]);
        sum += task.bits == 1 ? fabs(value) : value * value;
      }
    }
    largest = join_team<kLongTeam>(largest, Larger<std::uint32_t>());
    sum = join_team<kLongTeam>(sum, Plus<double>());
    Coding coding;
    if (largest >= kInfinityBits) {
      coding = nonfinite_coding();
    } else if (largest > 0) {
      float no_clip;
      coding = coding_of_largest(task, largest, &no_clip);
      const double mean = sum / static_cast<double>(piece.count), normaliser = static_cast<double>(coding.normaliser);
      if (!task.stochastic && task.bits == 1) {
        coding = scaled_coding(coding.normaliser, task.limit, 1, static_cast<float>(mean * normaliser));
      } else if (!task.stochastic) {
        const float normal = task.normal * static_cast<float>(sqrt(mean) * normaliser);
        const float inverse_whole = 1.0f / no_clip, inverse_clipped = 1.0f / fminf(normal, no_clip);
        Fits fits{};
#pragma unroll 4
        for (std::int64_t q = place; q < quads; q += kLongTeam) fits.add(v.quad(4 * q, piece.count), coding.normaliser, inverse_whole, inverse_clipped, task.limit);
        fits.join<kLongTeam>();
        coding = better_coding(coding.normaliser, task.limit, no_clip, fits.whole, normal, fits.clipped);
      }
    }
    if (place == 0) reinterpret_cast<float*>(task.packed)[index] = coding.scale;
#pragma unroll 2
    for (std::int64_t t = 0; t < turns; ++t) {
      const std::int64_t q = place + t * kLongTeam;
      code_quad(task, piece, q, v.quad(4 * q, piece.count), coding, largest < kInfinityBits);
    }
  }
}

template <int kTeam>
void launch(const QuantizePlan& plan, const Task& task, cudaStream_t stream) {
  switch (plan.quads) {
    case 1: held_kernel<kTeam, 1><<<plan.blocks, plan.threads, 0, stream>>>(task); break;
    case 2: held_kernel<kTeam, 2><<<plan.blocks, plan.threads, 0, stream>>>(task); break;
    case 4: held_kernel<kTeam, 4><<<plan.blocks, plan.threads, 0, stream>>>(task); break;
    case 8: held_kernel<kTeam, 8><<<plan.blocks, plan.threads, 0, stream>>>(task); break;
    default: long_kernel<<<plan.blocks, kLongTeam, 0, stream>>>(task);
  }
}

}  // namespace

void quantize(const QuantizeArguments& a, Stream stream) {
  if (a.count == 0) return;
  const std::int64_t blocks = quantize_blocks(a.format, a.count), scales = blocks * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t padding = quantized_bytes(a.format, a.count) - scales - (a.count + 7) / 8 * a.format.bits;
  const Task task{{a.gradient, a.residual}, a.next, a.count, a.format.block, blocks, a.packed, a.packed + scales, padding, a.format.bits,
                  static_cast<float>(quantize_limit(a.format.bits)), quantize_normal_step(a.format.bits), a.stochastic, aligned16(a.next), a.key, a.step};
  const QuantizePlan plan = plan_quantize(a.format.block, blocks);
  switch (plan.team) {
    case kQuantizeWarp: launch<kQuantizeWarp>(plan, task, native(stream)); break;
    case 256: launch<256>(plan, task, native(stream)); break;
    case 512: launch<512>(plan, task, native(stream)); break;
    default: launch<1024>(plan, task, native(stream)); break;
  }
  check_launch("quantize");
}

}  // namespace panther::cuda
