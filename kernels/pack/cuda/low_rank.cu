// Products with thin factors. A thread block owns what it writes and adds in one order, so that results are the same at every run.
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/low_rank_plan.h"
#include "kernels/pack/cuda/quads.cuh"

namespace panther::cuda {
namespace {

constexpr int kTallThreads = 512;
constexpr int kTallWarps = kTallThreads / kWarp;
constexpr int kTallRows = 256;  ///< of the factor in shared memory at a time
constexpr int kJoined = 8;      ///< ranks whose sums meet in shared memory at a time

/// A thread block owns `width` columns: a lane has one of them and, with the others of its place in a warp, a share of the rows, which are dealt in fours.
/// What all found is added in the order of warps and places.
template <int kRanks>
__global__ void __launch_bounds__(kTallThreads) project_transposed_kernel(const float* v, std::int64_t rows, std::int64_t columns, int ranks, const float* factor,
                                                                          float* projected, int width, bool aligned) {
  constexpr int kMostFours = 4;                                 // of a share in a tile, where the width is 32
  constexpr int kFactorQuads = kRanks * kTallRows / 4, kOwn = (kFactorQuads + kTallThreads - 1) / kTallThreads;
  __shared__ float4 tile[kRanks][kTallRows / 4];
  __shared__ float partial[kTallWarps][kJoined][kWarp];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp, shares = kTallThreads / width, share = thread / width;
  const int fours = kTallRows / (4 * shares);
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * width + lane % width;
  const float* own = v + min(column, columns - 1);
  float sums[kRanks] = {}, x[kMostFours][4];
  Quad quads[kOwn];
  const auto fetch = [&](std::int64_t first) {
#pragma unroll
    for (int f = 0; f < kMostFours; ++f) {
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        const std::int64_t row = first + 4 * (share + f * shares) + t;
        x[f][t] = f < fours && row < rows ? own[row * columns] : 0.0f;
      }
    }
#pragma unroll
    for (int q = 0; q < kOwn; ++q) {
      const int index = thread + q * kTallThreads, r = index / (kTallRows / 4);
      quads[q] = index < kFactorQuads && r < ranks ? load_quad(factor + r * rows, first + 4 * (index % (kTallRows / 4)), rows, aligned) : Quad{};
    }
  };
  fetch(0);
  for (std::int64_t first = 0; first < rows; first += kTallRows) {
#pragma unroll
    for (int q = 0; q < kOwn; ++q) {
      const int index = thread + q * kTallThreads;
      if (index < kFactorQuads) tile[index / (kTallRows / 4)][index % (kTallRows / 4)] = make_float4(quads[q].at[0], quads[q].at[1], quads[q].at[2], quads[q].at[3]);
    }
    float now[kMostFours][4];
#pragma unroll
    for (int f = 0; f < kMostFours; ++f) {
#pragma unroll
      for (int t = 0; t < 4; ++t) now[f][t] = x[f][t];
    }
    __syncthreads();
    if (first + kTallRows < rows) fetch(first + kTallRows);
#pragma unroll
    for (int f = 0; f < kMostFours; ++f) {
      if (f >= fours) break;
#pragma unroll
      for (int r = 0; r < kRanks; ++r) {
        const float4 four = tile[r][share + f * shares];
        sums[r] = fmaf(four.x, now[f][0], sums[r]);
        sums[r] = fmaf(four.y, now[f][1], sums[r]);
        sums[r] = fmaf(four.z, now[f][2], sums[r]);
        sums[r] = fmaf(four.w, now[f][3], sums[r]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int r0 = 0; r0 < kRanks; r0 += kJoined) {
#pragma unroll
    for (int r = r0; r < r0 + kJoined && r < kRanks; ++r) partial[warp][r - r0][lane] = sums[r];
    __syncthreads();
    const int r = r0 + warp;
    if (warp < kJoined && r < ranks && lane < width && column < columns) {
      float sum = 0;
      for (int w = 0; w < kTallWarps; ++w) {
        for (int place = lane; place < kWarp; place += width) sum += partial[w][warp][place];
      }
      projected[r * columns + column] = sum;
    }
    __syncthreads();
  }
}

constexpr int kUpdateRows = 32;      ///< of a thread block, four to a warp
constexpr int kUpdateColumns = 128;  ///< four to a lane
constexpr int kUpdateRanks = 32;     ///< of the factors in shared memory at a time

/// Products are rounded and then added, in the order of the rank index: every rank of the world computes these bits from the same factors.
__global__ void __launch_bounds__(kThreads) update_kernel(const float* left, const float* right, std::int64_t rows, std::int64_t columns, std::int64_t rank,
                                                          float* destination, float share, float* next, bool aligned) {
  __shared__ float4 right_tile[kUpdateRanks][kUpdateColumns / 4];
  __shared__ float4 left_tile[kUpdateRanks][kUpdateRows / 4];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kUpdateColumns + 4 * lane;
  for (std::int64_t top = static_cast<std::int64_t>(blockIdx.y) * kUpdateRows; top < rows; top += static_cast<std::int64_t>(gridDim.y) * kUpdateRows) {
    float product[4][4] = {};
    for (std::int64_t r0 = 0; r0 < rank; r0 += kUpdateRanks) {
      const int ranks = static_cast<int>(min(static_cast<std::int64_t>(kUpdateRanks), rank - r0));
      for (int r = warp; r < ranks; r += kWarps) {
        const Quad quad = load_quad(right + (r0 + r) * columns, column, columns, aligned);
        right_tile[r][lane] = make_float4(quad.at[0], quad.at[1], quad.at[2], quad.at[3]);
        if (top + lane < rows) reinterpret_cast<float*>(left_tile[r])[lane] = left[(r0 + r) * rows + top + lane];
      }
      __syncthreads();
      for (int r = 0; r < ranks; ++r) {
        const float4 x = right_tile[r][lane], l = left_tile[r][warp];
        const float l_of[4] = {l.x, l.y, l.z, l.w}, x_of[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
        for (int t = 0; t < 4; ++t) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const float term = __fmul_rn(l_of[t], x_of[i]);
            product[t][i] = r0 + r == 0 ? term : __fadd_rn(product[t][i], term);
          }
        }
      }
      __syncthreads();
    }
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const std::int64_t row = top + 4 * warp + t;
      if (row >= rows) break;
      Quad quad{{product[t][0], product[t][1], product[t][2], product[t][3]}};
      if (destination != nullptr) store_quad(destination + row * columns, column, columns, aligned, quad);
      if (next == nullptr) continue;
      Quad left_over = load_quad(next + row * columns, column, columns, aligned);
#pragma unroll
      for (int i = 0; i < 4; ++i) left_over.at[i] = __fsub_rn(left_over.at[i], __fmul_rn(share, quad.at[i]));
      store_quad(next + row * columns, column, columns, aligned, left_over);
    }
  }
}

}  // namespace

void project_transposed(const float* v_MN, std::int64_t rows, std::int64_t columns, std::int64_t rank, const float* factor_RM, float* projected_RN,
                        Stream stream) {
  if (columns == 0) return;
  const bool aligned = rows % 4 == 0 && aligned16(factor_RM);
  const int width = transposed_width(columns);
  for (std::int64_t first = 0; first < rank; first += 32) {
    const int ranks = static_cast<int>(std::min<std::int64_t>(32, rank - first));
    const auto launch = [&](auto kernel) {
      kernel<<<static_cast<unsigned>(divide_up(columns, width)), kTallThreads, 0, native(stream)>>>(v_MN, rows, columns, ranks, factor_RM + first * rows,
                                                                                                 projected_RN + first * columns, width, aligned);
    };
    switch (transposed_ranks(ranks)) {
      case 4: launch(project_transposed_kernel<4>); break;
      case 8: launch(project_transposed_kernel<8>); break;
      case 16: launch(project_transposed_kernel<16>); break;
      default: launch(project_transposed_kernel<32>); break;
    }
    check_launch("project_transposed");
  }
}

void low_rank_update(const float* left_RM, const float* right_RN, std::int64_t rows, std::int64_t columns, std::int64_t rank, float* destination,
                     float share, float* next, Stream stream) {
  if (rows == 0 || columns == 0) return;
  const bool aligned = columns % 4 == 0 && aligned16(right_RN) && aligned16(destination) && aligned16(next);
  const TilePlan plan = plan_tiles(rows, columns, kUpdateRows, kUpdateColumns);
  update_kernel<<<dim3(plan.columns, plan.rows), kThreads, 0, native(stream)>>>(left_RM, right_RN, rows, columns, rank, destination, share, next, aligned);
  check_launch("low_rank_update");
}

}  // namespace panther::cuda
