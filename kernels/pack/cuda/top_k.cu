// Exact selection by magnitude: magnitudes order as their bits do, so three histograms (11, 10, 10 bits) find the k-th; then every block counts what
// it takes, and writes it behind what the blocks before it take. Integer sums alone are made by atomics: their order changes nothing.
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"
#include "kernels/cuda/team_sum.cuh"
#include "kernels/pack/cuda/top_k_plan.h"

namespace panther::cuda {
namespace {

constexpr int kTiles = 4;  ///< on their way at a time

/// Magnitudes whose bits above shift + width equal the prefix compete; the next `width` bits are their bin.
struct Digit {
  int index, shift, width;
};
constexpr Digit kDigits[3] = {{0, 20, 11}, {1, 10, 10}, {2, 0, 10}};

struct Data {
  float* next;
  std::int64_t count, segment;
  std::uint32_t* scratch;
  bool aligned;
  __device__ std::int64_t begin() const { return blockIdx.x * segment; }
  __device__ std::int64_t end() const { return min(count, begin() + segment); }
};

/// next = v on the way of the first digit.
template <bool kFirst>
__global__ void __launch_bounds__(kThreads) histogram_kernel(Data a, Sum v, Digit digit) {
  __shared__ std::uint32_t bins[kTopKBins];
  const int used = 1 << digit.width;
  for (int b = static_cast<int>(threadIdx.x); b < used; b += kThreads) bins[b] = 0;
  __syncthreads();
  const std::uint32_t prefix = kFirst ? 0 : a.scratch[TopKWords::prefix], mask = static_cast<std::uint32_t>(used) - 1;
  const std::int64_t end = a.end();
  const Sum source = kFirst ? v : Sum(a.next, a.aligned);
  for (std::int64_t first = a.begin() + 4 * static_cast<std::int64_t>(threadIdx.x); first < end; first += kTiles * kTopKTile) {
    Quad quads[kTiles];
    load_quads(source, first, kTopKTile, end, quads);
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      const std::int64_t at = first + t * kTopKTile;
      if constexpr (kFirst) store_quad(a.next, at, end, a.aligned, quads[t]);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::uint32_t magnitude = bits_of(quads[t].at[i]) & kMagnitudeBits;
        if (at + i < end && (kFirst || magnitude >> (digit.shift + digit.width) == prefix)) atomicAdd(&bins[magnitude >> digit.shift & mask], 1u);
      }
    }
  }
  __syncthreads();
  std::uint32_t* total = a.scratch + TopKWords::histogram(digit.index);
  for (int b = static_cast<int>(threadIdx.x); b < used; b += kThreads) {
    if (bins[b] != 0) atomicAdd(&total[b], bins[b]);
  }
}

/// One block: the bin that holds the last element wanted.
__global__ void __launch_bounds__(kThreads) find_kernel(std::uint32_t* scratch, Digit digit, std::int64_t k) {
  constexpr int kMost = kTopKBins / kThreads;
  const std::uint32_t prefix = digit.index == 0 ? 0 : scratch[TopKWords::prefix];
  const std::uint32_t wanted = digit.index == 0 ? static_cast<std::uint32_t>(k) : scratch[TopKWords::wanted];
  const int used = 1 << digit.width, each = used / kThreads;
  const std::uint32_t* bins = scratch + TopKWords::histogram(digit.index);
  std::uint32_t here[kMost] = {}, sum = 0;
  const int highest = used - 1 - static_cast<int>(threadIdx.x) * each;  // thread 0 holds the largest magnitudes
  for (int i = 0; i < each; ++i) sum += here[i] = bins[highest - i];
  std::uint32_t all = 0, before = sum_before<kThreads>(sum, &all);
  if (before >= wanted || before + sum < wanted) return;
  for (int i = 0; i < each; ++i) {
    if (before + here[i] >= wanted) {
      scratch[TopKWords::prefix] = prefix << digit.width | static_cast<std::uint32_t>(highest - i);
      scratch[TopKWords::wanted] = wanted - before;
      return;
    }
    before += here[i];
  }
}

__device__ std::uint32_t block_total(std::uint32_t value) {
  std::uint32_t total = 0;
  sum_before<kThreads>(value, &total);
  return total;
}

__global__ void __launch_bounds__(kThreads) count_kernel(Data a) {
  const std::uint32_t threshold = a.scratch[TopKWords::prefix];
  std::uint32_t above = 0, equal = 0;
  const std::int64_t end = a.end();
  for (std::int64_t first = a.begin() + 4 * static_cast<std::int64_t>(threadIdx.x); first < end; first += kTiles * kTopKTile) {
    Quad quads[kTiles];
    load_quads(Sum(a.next, a.aligned), first, kTopKTile, end, quads);
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::uint32_t magnitude = bits_of(quads[t].at[i]) & kMagnitudeBits;
        if (first + t * kTopKTile + i >= end) continue;
        above += magnitude > threshold ? 1 : 0;
        equal += magnitude == threshold ? 1 : 0;
      }
    }
  }
  above = block_total(above);
  equal = block_total(equal);
  if (threadIdx.x == 0) {
    a.scratch[TopKWords::above + blockIdx.x] = above;
    a.scratch[TopKWords::equal + blockIdx.x] = equal;
  }
}

/// One block: counts become what all blocks before hold.
__global__ void __launch_bounds__(kThreads) offsets_kernel(std::uint32_t* scratch, int blocks) {
  for (const std::int64_t words : {TopKWords::above, TopKWords::equal}) {
    std::uint32_t* counts = scratch + words;
    std::uint32_t before = 0;
    for (int first = 0; first < blocks; first += kThreads) {
      const int at = first + static_cast<int>(threadIdx.x);
      std::uint32_t all = 0;
      const std::uint32_t mine = sum_before<kThreads>(at < blocks ? counts[at] : 0u, &all);
      if (at < blocks) counts[at] = before + mine;
      before += all;
    }
  }
}

/// An element above the threshold is taken, one equal to it as long as fewer than `ties` are before it.
__global__ void __launch_bounds__(kThreads) select_kernel(Data a, std::uint32_t* indices, float* values) {
  const std::uint32_t threshold = a.scratch[TopKWords::prefix], ties = a.scratch[TopKWords::wanted];
  std::uint32_t above = a.scratch[TopKWords::above + blockIdx.x], equal = a.scratch[TopKWords::equal + blockIdx.x];
  for (std::int64_t tile = a.begin(); tile < a.end(); tile += kTopKTile) {
    const std::int64_t first = tile + 4 * static_cast<std::int64_t>(threadIdx.x);
    const Quad quad = load_quad(a.next, first, a.count, a.aligned);
    std::uint32_t counts = 0;  // above in the low half, equal in the high one: at most kTopKTile of each
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t magnitude = bits_of(quad.at[i]) & kMagnitudeBits;
      if (first + i < a.count) counts += (magnitude > threshold ? 1u : 0u) + (magnitude == threshold ? 1u << 16 : 0u);
    }
    std::uint32_t all = 0;
    const std::uint32_t before = sum_before<kThreads>(counts, &all);
    std::uint32_t above_before = above + (before & 0xffffu), equal_before = equal + (before >> 16);
    above += all & 0xffffu;
    equal += all >> 16;
    if (counts == 0) continue;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t magnitude = bits_of(quad.at[i]) & kMagnitudeBits;
      if (first + i >= a.count || magnitude < threshold) continue;
      const bool tied = magnitude == threshold;
      if (!tied || equal_before < ties) {
        const std::uint32_t at = above_before + min(equal_before, ties);
        indices[at] = static_cast<std::uint32_t>(first + i);
        values[at] = quad.at[i];
        a.next[first + i] = 0;
      }
      above_before += tied ? 0u : 1u;
      equal_before += tied ? 1u : 0u;
    }
  }
}

}  // namespace

void top_k(const TopKArguments& a, Stream stream) {
  if (a.count == 0) return;
  const TopKPlan plan = plan_top_k(a.count);
  const Data data{a.next, a.count, plan.segment, a.scratch, aligned16(a.next)};
  const Sum v(a.gradient, a.residual);
  clear(a.scratch, TopKWords::zeroed * static_cast<std::int64_t>(sizeof(std::uint32_t)), stream);
  for (const Digit digit : kDigits) {
    if (digit.index == 0) histogram_kernel<true><<<plan.blocks, kThreads, 0, native(stream)>>>(data, v, digit);
    else histogram_kernel<false><<<plan.blocks, kThreads, 0, native(stream)>>>(data, v, digit);
    check_launch("top_k");
    find_kernel<<<1, kThreads, 0, native(stream)>>>(a.scratch, digit, a.k);
    check_launch("top_k");
  }
  count_kernel<<<plan.blocks, kThreads, 0, native(stream)>>>(data);
  check_launch("top_k");
  offsets_kernel<<<1, kThreads, 0, native(stream)>>>(a.scratch, static_cast<int>(plan.blocks));
  check_launch("top_k");
  select_kernel<<<plan.blocks, kThreads, 0, native(stream)>>>(data, a.indices, a.values);
  check_launch("top_k");
}

}  // namespace panther::cuda
