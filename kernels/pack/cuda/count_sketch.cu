// Inserting without atomics on floats: a counting sort lists the blocks of every place, and who owns a place adds its blocks in their order.
#include "kernels/pack/count_sketch_places.h"
#include "kernels/pack/cuda/pass.cuh"
#include "kernels/pack/sign_words.h"

namespace panther::cuda {
namespace {

constexpr std::int64_t kBlock = kCountSketchBlock;
constexpr int kSorted = 1024;  // blocks of one place that are sorted in shared memory

/// Scratch: for every row the end of each place's list, where each list begins, and the lists.
struct Lists {
  std::uint32_t* end;
  std::uint32_t* begin;
  std::uint32_t* blocks;
};
struct Shape {
  std::int64_t places;
  std::int64_t blocks;
};
__host__ __device__ Lists lists_of(std::uint32_t* scratch, const Shape& shape, int row) {
  std::uint32_t* own = scratch + row * (2 * shape.places + shape.blocks);
  return {own, own + shape.places, own + 2 * shape.places};
}

__global__ void sum_kernel(const float* gradient, const float* residual, std::int64_t count, float* sum) {
  const Pass at = pass();
  for (std::int64_t i = at.first; i < count; i += at.step) sum[i] = value_at(gradient, residual, i);
}

/// Rows on y.
__global__ void count_kernel(CountSketch sketch, Shape shape, std::uint32_t* scratch) {
  const int row = static_cast<int>(blockIdx.y);
  const Lists lists = lists_of(scratch, shape, row);
  const std::uint64_t key = count_sketch_row_key(sketch, row);
  const Pass at = pass();
  for (std::int64_t b = at.first; b < shape.blocks; b += at.step) atomicAdd(&lists.end[count_sketch_place(key, b, shape.places)], 1u);
}

/// Counts become beginnings; a block of 1024 a row.
__global__ void begin_kernel(Shape shape, std::uint32_t* scratch) {
  __shared__ std::uint32_t sums[1024];
  const Lists lists = lists_of(scratch, shape, static_cast<int>(blockIdx.x));
  const int t = static_cast<int>(threadIdx.x);
  std::uint32_t before = 0;
  for (std::int64_t first = 0; first < shape.places; first += 1024) {
    const std::uint32_t own = first + t < shape.places ? lists.end[first + t] : 0;
    sums[t] = own;
    __syncthreads();
    for (int width = 1; width < 1024; width *= 2) {
      const std::uint32_t left = t >= width ? sums[t - width] : 0;
      __syncthreads();
      sums[t] += left;
      __syncthreads();
    }
    if (first + t < shape.places) lists.begin[first + t] = lists.end[first + t] = before + sums[t] - own;
    before += sums[1023];
    __syncthreads();
  }
}

__global__ void list_kernel(CountSketch sketch, Shape shape, std::uint32_t* scratch) {
  const int row = static_cast<int>(blockIdx.y);
  const Lists lists = lists_of(scratch, shape, row);
  const std::uint64_t key = count_sketch_row_key(sketch, row);
  const Pass at = pass();
  for (std::int64_t b = at.first; b < shape.blocks; b += at.step) {
    lists.blocks[atomicAdd(&lists.end[count_sketch_place(key, b, shape.places)], 1u)] = static_cast<std::uint32_t>(b);
  }
}

/// A block of 64 threads for every place of every row (on y); thread i owns the place's cell i.
__global__ void __launch_bounds__(kBlock) add_kernel(CountSketch sketch, Shape shape, const float* sum, std::int64_t count, float* cells, std::uint32_t* scratch) {
  __shared__ std::uint32_t found[kSorted], sorted[kSorted];
  const int row = static_cast<int>(blockIdx.y), t = static_cast<int>(threadIdx.x);
  const Lists lists = lists_of(scratch, shape, row);
  const std::uint64_t key = count_sketch_row_key(sketch, row);
  for (std::int64_t place = blockIdx.x; place < shape.places; place += gridDim.x) {
    const std::uint32_t begin = lists.begin[place], length = lists.end[place] - begin;
    float cell = 0;
    const auto add = [&](std::int64_t block) {
      const std::int64_t i = block * kBlock + t;
      if (i < count) cell += flip_sign(sum[i], key, i);
    };
    if (length <= kSorted) {
      for (std::uint32_t j = t; j < length; j += kBlock) found[j] = lists.blocks[begin + j];
      __syncthreads();
      for (std::uint32_t j = t; j < length; j += kBlock) {
        std::uint32_t rank = 0;
        for (std::uint32_t other = 0; other < length; ++other) rank += found[other] < found[j] ? 1 : 0;
        sorted[rank] = found[j];
      }
      __syncthreads();
      for (std::uint32_t j = 0; j < length; ++j) add(sorted[j]);
      __syncthreads();
    } else {
      for (std::int64_t b = 0; b < shape.blocks; ++b) {
        if (count_sketch_place(key, b, shape.places) == place) add(b);
      }
    }
    cells[row * sketch.columns + place * kBlock + t] = cell;
  }
}

template <int kRows>
__global__ void estimate_kernel(CountSketch sketch, std::int64_t places, const float* cells, std::int64_t count, float* out) {
  std::uint64_t keys[kRows];
  for (int row = 0; row < kRows; ++row) keys[row] = count_sketch_row_key(sketch, row);
  const Pass at = pass();
  for (std::int64_t i = at.first; i < count; i += at.step) {
    const std::int64_t block = i / kBlock, inside = i % kBlock;
    float value[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      value[row] = flip_sign(cells[row * sketch.columns + count_sketch_place(keys[row], block, places) * kBlock + inside], keys[row], i);
    }
    out[i] = count_sketch_median<kRows>([&](int row) { return value[row]; });
  }
}

}  // namespace

void count_sketch_insert(const CountSketchInsert& a, Stream stream) {
  const Shape shape{a.sketch.columns / kBlock, divide_up(a.count, kBlock)};
  const auto rows = static_cast<unsigned>(a.sketch.rows);
  cudaStream_t queue = native(stream);
  if (a.count == 0) return clear(a.cells, a.sketch.rows * a.sketch.columns * static_cast<std::int64_t>(sizeof(float)), stream);
  sum_kernel<<<pass_blocks(a.count), kThreads, 0, queue>>>(a.gradient, a.residual, a.count, a.sum);
  clear(a.scratch, count_sketch_scratch(a.sketch, a.count) * static_cast<std::int64_t>(sizeof(std::uint32_t)), stream);
  const dim3 over_blocks(static_cast<unsigned>(std::min<std::int64_t>(kMaxBlocks, divide_up(shape.blocks, kThreads))), rows);
  count_kernel<<<over_blocks, kThreads, 0, queue>>>(a.sketch, shape, a.scratch);
  begin_kernel<<<rows, 1024, 0, queue>>>(shape, a.scratch);
  list_kernel<<<over_blocks, kThreads, 0, queue>>>(a.sketch, shape, a.scratch);
  const dim3 over_places(static_cast<unsigned>(std::min<std::int64_t>(1 << 20, shape.places)), rows);
  add_kernel<<<over_places, kBlock, 0, queue>>>(a.sketch, shape, a.sum, a.count, a.cells, a.scratch);
  check_launch("count_sketch_insert");
}

void count_sketch_estimate(const CountSketch& sketch, const float* cells, std::int64_t count, float* out, Stream stream) {
  if (count == 0) return;
  const std::int64_t places = sketch.columns / kBlock;
  const auto launch = [&](auto kernel) { kernel<<<pass_blocks(count), kThreads, 0, native(stream)>>>(sketch, places, cells, count, out); };
  if (sketch.rows == 1) launch(estimate_kernel<1>);
  else if (sketch.rows == 3) launch(estimate_kernel<3>);
  else launch(estimate_kernel<5>);
  check_launch("count_sketch_estimate");
}

}  // namespace panther::cuda
