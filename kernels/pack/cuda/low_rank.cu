// Products with thin factors. A thread block owns what it writes and adds in one order, so that results are the same at every run.
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"
#include "kernels/pack/cuda/team_sum.cuh"

namespace panther::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = kThreads / kWarp;
constexpr int kRanks = 8;              ///< columns of the factor that a sweep over the matrix takes
constexpr int kRows = 4;               ///< of a thread block
constexpr unsigned kMostRowBlocks = 1u << 20;

struct Projection {
  ProjectArguments a;
  bool aligned;
};

/// sums[t][r] over the columns of this thread, for ranks [rank, rank + kRanks) and rows [row, row + rows).
__device__ void project_rows(const Projection& p, const float* source, bool first, std::int64_t row, int rows, std::int64_t rank, int ranks) {
  __shared__ float partial[kWarps][kRows * kRanks];
  const ProjectArguments& a = p.a;
  float sums[kRows][kRanks] = {};
  for (std::int64_t j = 4 * static_cast<std::int64_t>(threadIdx.x); j < a.columns; j += 4 * kThreads) {
    Quad v[kRows];
#pragma unroll
    for (int t = 0; t < kRows; ++t) {
      if (t >= rows) {
        v[t] = {};
        continue;
      }
      const std::int64_t at = (row + t) * a.columns;
      v[t] = load_quad(source + at, j, a.columns, p.aligned);
      if (!first || a.residual == nullptr) continue;
      const Quad left = load_quad(a.residual + at, j, a.columns, p.aligned);
#pragma unroll
      for (int i = 0; i < 4; ++i) v[t].at[i] += left.at[i];
    }
    if (first && a.sum != nullptr) {
#pragma unroll
      for (int t = 0; t < kRows; ++t) {
        if (t < rows) store_quad(a.sum + (row + t) * a.columns, j, a.columns, p.aligned, v[t]);
      }
    }
#pragma unroll
    for (int r = 0; r < kRanks; ++r) {
      if (r >= ranks) break;
      const Quad f = load_quad(a.factor_RN + (rank + r) * a.columns, j, a.columns, p.aligned);
#pragma unroll
      for (int t = 0; t < kRows; ++t) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[t][r] = fmaf(v[t].at[i], f.at[i], sums[t][r]);
      }
    }
  }
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
#pragma unroll
  for (int t = 0; t < kRows; ++t) {
#pragma unroll
    for (int r = 0; r < kRanks; ++r) {
      const float sum = join_warp(sums[t][r], Plus<float>());
      if (lane == 0) partial[warp][t * kRanks + r] = sum;
    }
  }
  __syncthreads();
  const int t = static_cast<int>(threadIdx.x) % kRows, r = static_cast<int>(threadIdx.x) / kRows;
  if (t < rows && r < ranks) {
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += partial[w][t * kRanks + r];
    a.projected_RM[(rank + r) * a.rows + row + t] = sum;
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads) project_kernel(Projection p) {
  const ProjectArguments& a = p.a;
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRows; row < a.rows; row += static_cast<std::int64_t>(gridDim.x) * kRows) {
    const int rows = static_cast<int>(min(static_cast<std::int64_t>(kRows), a.rows - row));
    std::int64_t rank = 0;
    do {
      const bool first = rank == 0;
      const float* source = first || a.sum == nullptr ? a.gradient : a.sum;
      project_rows(p, source, first, row, rows, rank, static_cast<int>(min(static_cast<std::int64_t>(kRanks), a.rank - rank)));
      rank += kRanks;
    } while (rank < a.rank);
  }
}

constexpr int kTallThreads = 1024;
constexpr int kTallWarps = kTallThreads / kWarp;

/// A thread block owns 32 columns, a lane one of them; warps share the rows in fours, and what they found is added in the order of the warps.
__global__ void __launch_bounds__(kTallThreads) project_transposed_kernel(const float* v, std::int64_t rows, std::int64_t columns, std::int64_t rank,
                                                                          const float* factor, float* projected, bool aligned) {
  __shared__ float partial[kTallWarps][kRanks][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kWarp + lane;
  for (std::int64_t r0 = 0; r0 < rank; r0 += kRanks) {
    const int ranks = static_cast<int>(min(static_cast<std::int64_t>(kRanks), rank - r0));
    float sums[kRanks] = {};
#pragma unroll 2
    for (std::int64_t i = 4 * warp; i < rows; i += 4 * kTallWarps) {
      float x[4] = {};
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        if (column < columns && i + t < rows) x[t] = v[(i + t) * columns + column];
      }
#pragma unroll
      for (int r = 0; r < kRanks; ++r) {
        if (r >= ranks) break;
        const Quad f = load_quad(factor + (r0 + r) * rows, i, rows, aligned);
#pragma unroll
        for (int t = 0; t < 4; ++t) sums[r] = fmaf(f.at[t], x[t], sums[r]);
      }
    }
#pragma unroll
    for (int r = 0; r < kRanks; ++r) partial[warp][r][lane] = sums[r];
    __syncthreads();
    if (warp < ranks && column < columns) {
      float sum = 0;
#pragma unroll
      for (int w = 0; w < kTallWarps; ++w) sum += partial[w][warp][lane];
      projected[(r0 + warp) * columns + column] = sum;
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

void project(const ProjectArguments& a, Stream stream) {
  if (a.rows == 0 || (a.columns == 0 && a.rank == 0)) return;
  const bool aligned = a.columns % 4 == 0 && aligned16(a.gradient) && aligned16(a.residual) && aligned16(a.sum) && aligned16(a.factor_RN);
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(kMostRowBlocks, divide_up(a.rows, kRows)));
  project_kernel<<<blocks, kThreads, 0, native(stream)>>>({a, aligned});
  check_launch("project");
}

void project_transposed(const float* v_MN, std::int64_t rows, std::int64_t columns, std::int64_t rank, const float* factor_RM, float* projected_RN,
                        Stream stream) {
  if (columns == 0 || rank == 0) return;
  const bool aligned = rows % 4 == 0 && aligned16(factor_RM);
  project_transposed_kernel<<<static_cast<unsigned>(divide_up(columns, kWarp)), kTallThreads, 0, native(stream)>>>(v_MN, rows, columns, rank, factor_RM,
                                                                                                                 projected_RN, aligned);
  check_launch("project_transposed");
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
