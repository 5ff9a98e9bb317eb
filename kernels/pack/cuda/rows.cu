#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"

namespace panther::cuda {
namespace {

constexpr int kBlockRows = kWarps;  ///< a warp a row; a block's rows share a byte of the bitmap
static_assert(kBlockRows == 8);

unsigned row_blocks(std::int64_t rows) { return static_cast<unsigned>(std::min(std::int64_t{1} << 20, divide_up(rows, kBlockRows))); }

__global__ void __launch_bounds__(kThreads) touched_kernel(const float* values, std::int64_t rows, std::int64_t columns, std::uint8_t* bitmap) {
  __shared__ std::uint32_t touched[kBlockRows];
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  for (std::int64_t byte = blockIdx.x; byte < (rows + kBlockRows - 1) / kBlockRows; byte += gridDim.x) {
    const std::int64_t row = byte * kBlockRows + warp;
    std::uint32_t bits = 0;
    if (row < rows) {
      for (std::int64_t j = lane; j < columns; j += kWarp) bits |= bits_of(values[row * columns + j]);
    }
    const bool any = __any_sync(~0u, bits != 0);
    if (lane == 0) touched[warp] = any ? 1u << warp : 0u;
    __syncthreads();
    if (threadIdx.x == 0) {
      std::uint32_t word = 0;
      for (const std::uint32_t one : touched) word |= one;
      bitmap[byte] = static_cast<std::uint8_t>(word);
    }
    __syncthreads();
  }
}

/// Row i of one side is row rows[i] of the other.
template <bool kGather>
__global__ void __launch_bounds__(kThreads) move_rows_kernel(const float* from, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* to,
                                                             bool aligned) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kBlockRows + threadIdx.x / kWarp; i < count; i += static_cast<std::int64_t>(gridDim.x) * kBlockRows) {
    const float* source = from + (kGather ? rows[i] : i) * columns;
    float* target = to + (kGather ? i : rows[i]) * columns;
    for (std::int64_t j = 4 * lane; j < columns; j += 4 * kWarp) store_quad(target, j, columns, aligned, load_quad(source, j, columns, aligned));
  }
}

template <bool kGather>
void move_rows(const float* from, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* to, Stream stream, const char* what) {
  if (count * columns == 0) return;
  const bool aligned = columns % 4 == 0 && aligned16(from) && aligned16(to);
  move_rows_kernel<kGather><<<row_blocks(count), kThreads, 0, native(stream)>>>(from, columns, rows, count, to, aligned);
  check_launch(what);
}

}  // namespace

void touched_rows(const float* values_MN, std::int64_t rows, std::int64_t columns, std::uint8_t* bitmap, Stream stream) {
  if (rows == 0) return;
  touched_kernel<<<row_blocks(rows), kThreads, 0, native(stream)>>>(values_MN, rows, columns, bitmap);
  check_launch("touched_rows");
}

void gather_rows(const float* values_MN, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* packed, Stream stream) {
  move_rows<true>(values_MN, columns, rows, count, packed, stream, "gather_rows");
}

void scatter_rows(const float* packed, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* values_MN, Stream stream) {
  move_rows<false>(packed, columns, rows, count, values_MN, stream, "scatter_rows");
}

}  // namespace panther::cuda
