// Inserting without atomics on floats: a counting sort lists the blocks of every place, and the warp that owns a place adds its blocks in their order, which
// is the CPU's.
#include "kernels/pack/count_sketch_places.h"
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"
#include "kernels/cuda/team_sum.cuh"
#include "kernels/pack/sign_words.h"

namespace panther::cuda {
namespace {

constexpr std::int64_t kBlock = kCountSketchBlock;
constexpr unsigned kAll = ~0u;
constexpr int kSorted = 256;        ///< blocks of a place that a warp orders at a time
constexpr int kScanThreads = 1024;
static_assert(kBlock == 2 * kWarp, "a lane has two cells of a place");

struct Keys {
  std::uint64_t of[kCountSketchMostRows];
};

Keys keys_of(const CountSketch& sketch) {
  Keys keys{};
  for (int row = 0; row < sketch.rows; ++row) keys.of[row] = count_sketch_row_key(sketch, row);
  return keys;
}

struct Shape {
  std::int64_t places, blocks;
};

/// Scratch: for every row the end of each place's list, where each list begins, and the lists, unordered.
struct Lists {
  std::uint32_t* end;
  std::uint32_t* begin;
  std::uint32_t* blocks;
  __device__ Lists(std::uint32_t* scratch, const Shape& shape, int row) {
    end = scratch + row * (2 * shape.places + shape.blocks);
    begin = end + shape.places;
    blocks = begin + shape.places;
  }
};

__global__ void __launch_bounds__(kThreads) clear_kernel(Shape shape, std::uint32_t* scratch) {
  const Lists lists(scratch, shape, static_cast<int>(blockIdx.y));
  for (std::int64_t p = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; p < shape.places; p += static_cast<std::int64_t>(gridDim.x) * kThreads) lists.end[p] = 0;
}

/// Rows on y. The first time blocks are counted in `end`, the second time they are listed and `end` grows from the list's beginning to its end.
template <bool kList>
__global__ void __launch_bounds__(kThreads) deal_kernel(Keys keys, Shape shape, std::uint32_t* scratch) {
  const int row = static_cast<int>(blockIdx.y);
  const Lists lists(scratch, shape, row);
  for (std::int64_t b = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; b < shape.blocks; b += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    const std::uint32_t before = atomicAdd(&lists.end[count_sketch_place(keys.of[row], b, shape.places)], 1u);
    if constexpr (kList) lists.blocks[before] = static_cast<std::uint32_t>(b);
  }
}

/// One block a row: counts become beginnings.
__global__ void __launch_bounds__(kScanThreads) begin_kernel(Shape shape, std::uint32_t* scratch) {
  constexpr int kEach = 8;
  const Lists lists(scratch, shape, static_cast<int>(blockIdx.x));
  std::uint32_t before = 0;
  for (std::int64_t first = 0; first < shape.places; first += kEach * kScanThreads) {
    const std::int64_t own = first + kEach * static_cast<std::int64_t>(threadIdx.x);
    std::uint32_t counts[kEach], sum = 0, all = 0;
#pragma unroll
    for (int i = 0; i < kEach; ++i) sum += counts[i] = own + i < shape.places ? lists.end[own + i] : 0;
    std::uint32_t at = before + sum_before<kScanThreads>(sum, &all);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (own + i < shape.places) lists.begin[own + i] = lists.end[own + i] = at;
      at += counts[i];
    }
    before += all;
  }
}

/// Adds blocks to the place's cells, of which a lane has two. The first row meets every element once and makes the sum that the other rows read.
template <bool kFirst>
struct Cells {
  CountSketchInsert a;
  std::uint64_t key;
  int lane;
  float cells[2] = {};

  /// Of the lanes below `many`, in the order of the lanes. Elements beyond the last are read as the last one, so that all reads can be on their way at once.
  __device__ void add(std::uint32_t block, int many) {
    constexpr int kAhead = 4;
    const std::uint64_t signs = sign_word(key, block);
    for (int first = 0; first < many; first += kAhead) {
      float x[kAhead][2];
      std::int64_t at[kAhead][2];
#pragma unroll
      for (int j = 0; j < kAhead; ++j) {
        const std::int64_t begin = static_cast<std::int64_t>(__shfl_sync(kAll, block, min(first + j, many - 1))) * kBlock;
#pragma unroll
        for (int half = 0; half < 2; ++half) at[j][half] = begin + half * kWarp + lane;
      }
#pragma unroll
      for (int j = 0; j < kAhead; ++j) {
#pragma unroll
        for (int half = 0; half < 2; ++half) x[j][half] = (kFirst ? a.gradient : a.sum)[min(at[j][half], a.count - 1)];
      }
      if (kFirst && a.residual != nullptr) {
#pragma unroll
        for (int j = 0; j < kAhead; ++j) {
#pragma unroll
          for (int half = 0; half < 2; ++half) x[j][half] += a.residual[min(at[j][half], a.count - 1)];
        }
      }
#pragma unroll
      for (int j = 0; j < kAhead; ++j) {
        const std::uint64_t word = __shfl_sync(kAll, signs, min(first + j, many - 1));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          if (first + j >= many || at[j][half] >= a.count) continue;
          if (kFirst) a.sum[at[j][half]] = x[j][half];
          cells[half] += flip_by(x[j][half], word, half * kWarp + lane);
        }
      }
    }
  }
};

/// Blocks of the list that lie in [low, high) into `found`, as many as there is room for. Gives how many there are.
__device__ int find(const std::uint32_t* list, std::uint32_t length, std::int64_t low, std::int64_t high, std::uint32_t* found, int lane) {
  int many = 0;
  for (std::uint32_t first = 0; first < length; first += kWarp) {
    const std::uint32_t block = first + lane < length ? list[first + lane] : 0;
    const bool inside = first + lane < length && block >= low && block < high;
    const unsigned all = __ballot_sync(kAll, inside);
    const int at = many + __popc(all & ((1u << lane) - 1));
    if (inside && at < kSorted) found[at] = block;
    many += __popc(all);
  }
  __syncwarp();
  return many;
}

/// A warp a place of a row: of the first or of those behind it (on y). Long lists are taken in windows of blocks that fit.
template <bool kFirst>
__global__ void __launch_bounds__(kThreads) add_kernel(Keys keys, Shape shape, CountSketchInsert a) {
  __shared__ std::uint32_t found_of[kWarps][kSorted], sorted_of[kWarps][kSorted];
  const int row = kFirst ? 0 : static_cast<int>(blockIdx.y) + 1, lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const Lists lists(a.scratch, shape, row);
  std::uint32_t* found = found_of[warp];
  std::uint32_t* sorted = sorted_of[warp];
  for (std::int64_t place = static_cast<std::int64_t>(blockIdx.x) * kWarps + warp; place < shape.places; place += static_cast<std::int64_t>(gridDim.x) * kWarps) {
    const std::uint32_t begin = lists.begin[place], length = lists.end[place] - begin;
    Cells<kFirst> sums{a, keys.of[row], lane};
    std::int64_t window = length <= kSorted ? shape.blocks : max(std::int64_t{1}, shape.blocks / (length / (kSorted / 2) + 1));
    for (std::int64_t low = 0; low < shape.blocks;) {
      const int many = find(lists.blocks + begin, length, low, low + window, found, lane);
      if (many > kSorted) {
        window = (window + 1) / 2;
        continue;
      }
      for (int j = lane; j < many; j += kWarp) {
        int rank = 0;
        for (int other = 0; other < many; ++other) rank += found[other] < found[j] ? 1 : 0;
        sorted[rank] = found[j];
      }
      __syncwarp();
      for (int first = 0; first < many; first += kWarp) sums.add(first + lane < many ? sorted[first + lane] : 0, min(kWarp, many - first));
      __syncwarp();
      low += window;
    }
    float* cell = a.cells + (row * shape.places + place) * kBlock;
    cell[lane] = sums.cells[0];
    cell[kWarp + lane] = sums.cells[1];
  }
}

/// A warp takes 32 blocks: every lane hashes one of them for all, then all lanes read them one by one.
template <int kRows>
__global__ void __launch_bounds__(kThreads) estimate_kernel(Keys keys, Shape shape, const float* cells, std::int64_t count, float* out) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x - lane; first < shape.blocks; first += stride) {
    std::int64_t place[kRows];
    std::uint64_t signs[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      place[row] = row * shape.places + count_sketch_place(keys.of[row], first + lane, shape.places);
      signs[row] = sign_word(keys.of[row], first + lane);
    }
    const int here = static_cast<int>(min(static_cast<std::int64_t>(kWarp), shape.blocks - first));
    for (int b = 0; b < here; ++b) {
      const std::int64_t begin = (first + b) * kBlock;
      float low[kRows], high[kRows];
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        const float* cell = cells + __shfl_sync(kAll, place[row], b) * kBlock;
        const std::uint64_t word = __shfl_sync(kAll, signs[row], b);
        low[row] = flip_by(cell[lane], word, lane);
        high[row] = flip_by(cell[kWarp + lane], word, kWarp + lane);
      }
      if (begin + lane < count) out[begin + lane] = count_sketch_median<kRows>([&](int row) { return low[row]; });
      if (begin + kWarp + lane < count) out[begin + kWarp + lane] = count_sketch_median<kRows>([&](int row) { return high[row]; });
    }
  }
}

Shape shape_of(const CountSketch& sketch, std::int64_t count) { return {sketch.columns / kBlock, divide_up(count, kBlock)}; }

dim3 over(std::int64_t items, std::int64_t each, std::int64_t rows) {
  return dim3(static_cast<unsigned>(std::min(std::int64_t{1} << 20, divide_up(items, each))), static_cast<unsigned>(rows));
}

}  // namespace

void count_sketch_insert(const CountSketchInsert& a, Stream stream) {
  const Shape shape = shape_of(a.sketch, a.count);
  const Keys keys = keys_of(a.sketch);
  const cudaStream_t queue = native(stream);
  clear_kernel<<<over(shape.places, kThreads, a.sketch.rows), kThreads, 0, queue>>>(shape, a.scratch);
  check_launch("count_sketch_insert");
  const dim3 over_blocks = over(std::max<std::int64_t>(1, shape.blocks), kThreads, a.sketch.rows);
  deal_kernel<false><<<over_blocks, kThreads, 0, queue>>>(keys, shape, a.scratch);
  check_launch("count_sketch_insert");
  begin_kernel<<<static_cast<unsigned>(a.sketch.rows), kScanThreads, 0, queue>>>(shape, a.scratch);
  check_launch("count_sketch_insert");
  deal_kernel<true><<<over_blocks, kThreads, 0, queue>>>(keys, shape, a.scratch);
  check_launch("count_sketch_insert");
  add_kernel<true><<<over(shape.places, kWarps, 1), kThreads, 0, queue>>>(keys, shape, a);
  check_launch("count_sketch_insert");
  if (a.sketch.rows == 1) return;
  add_kernel<false><<<over(shape.places, kWarps, a.sketch.rows - 1), kThreads, 0, queue>>>(keys, shape, a);
  check_launch("count_sketch_insert");
}

void count_sketch_estimate(const CountSketch& sketch, const float* cells, std::int64_t count, float* out, Stream stream) {
  if (count == 0) return;
  const Shape shape = shape_of(sketch, count);
  const auto launch = [&](auto kernel) { kernel<<<over(shape.blocks, kThreads, 1), kThreads, 0, native(stream)>>>(keys_of(sketch), shape, cells, count, out); };
  if (sketch.rows == 1) launch(estimate_kernel<1>);
  else if (sketch.rows == 3) launch(estimate_kernel<3>);
  else launch(estimate_kernel<5>);
  check_launch("count_sketch_estimate");
}

}  // namespace panther::cuda
