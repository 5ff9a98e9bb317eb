// A team of threads takes the elements that share a scale: it holds them in registers, so that memory is read and written once.
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quantize_block.cuh"
#include "kernels/pack/cuda/quantize_plan.h"

namespace panther::cuda {
namespace {

/// The coding of a block held in registers.
template <int kTeam, int kQuads>
__device__ Coding choose(const QuantizeTask& task, const Quad (&v)[kQuads], std::int64_t count, std::uint32_t largest) {
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

template <int kTeam, int kQuads>
__global__ void __launch_bounds__(kTeam < kThreads ? kThreads : kTeam) held_kernel(QuantizeTask task) {
  constexpr int kTeams = kTeam < kThreads ? kThreads / kTeam : 1;
  clear_padding(task);
  const int place = static_cast<int>(threadIdx.x) % kTeam;
  for (std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * kTeams + threadIdx.x / kTeam; index < task.blocks; index += static_cast<std::int64_t>(gridDim.x) * kTeams) {
    const Piece piece = piece_of(task, index);
    const Sum v = task.v.from(piece.first);
    Quad held[kQuads];
    std::uint32_t largest = 0;
    load_quads(v, 4 * place, 4 * kTeam, piece.count, held);
#pragma unroll
    for (int q = 0; q < kQuads; ++q) largest = max(largest, largest_magnitude(held[q]));
    largest = join_team<kTeam>(largest, Larger<std::uint32_t>());
    const Coding coding = choose<kTeam>(task, held, piece.count, largest);
    if (place == 0) reinterpret_cast<float*>(task.packed)[index] = coding.scale;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) code_quad(task, piece, place + q * kTeam, held[q], coding, largest < kInfinityBits);
  }
}

template <int kTeam>
void launch(const QuantizePlan& plan, const QuantizeTask& task, cudaStream_t stream) {
  switch (plan.quads) {
    case 1: held_kernel<kTeam, 1><<<plan.blocks, plan.threads, 0, stream>>>(task); break;
    case 2: held_kernel<kTeam, 2><<<plan.blocks, plan.threads, 0, stream>>>(task); break;
    case 4: held_kernel<kTeam, 4><<<plan.blocks, plan.threads, 0, stream>>>(task); break;
    case 8: held_kernel<kTeam, 8><<<plan.blocks, plan.threads, 0, stream>>>(task); break;
    default: quantize_long(task, plan.blocks, stream);
  }
}

}  // namespace

void quantize(const QuantizeArguments& a, Stream stream) {
  if (a.count == 0) return;
  const std::int64_t blocks = quantize_blocks(a.format, a.count), scales = blocks * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t padding = quantized_bytes(a.format, a.count) - scales - (a.count + 7) / 8 * a.format.bits;
  const QuantizeTask task{{a.gradient, a.residual}, a.next, a.count, a.format.block, blocks, a.packed, a.packed + scales, padding, a.format.bits,
                  static_cast<float>(quantize_limit(a.format.bits)), quantize_normal_step(a.format.bits), a.stochastic, aligned16(a.next), a.key, a.step};
  const QuantizePlan plan = plan_quantize(a.format.block, blocks);
  switch (plan.team) {
    case kWarp: launch<kWarp>(plan, task, native(stream)); break;
    case 256: launch<256>(plan, task, native(stream)); break;
    case 512: launch<512>(plan, task, native(stream)); break;
    default: launch<1024>(plan, task, native(stream)); break;
  }
  check_launch("quantize");
}

}  // namespace panther::cuda
