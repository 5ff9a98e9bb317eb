// v factor^T for a thin factor, with the sum v = gradient + residual made on the way. A thread block owns some rows and adds over their columns in one order.
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"
#include "kernels/cuda/team_sum.cuh"

namespace panther::cuda {
namespace {

/// Part of a projection: ranks [rank, rank + ranks) of the factor.
struct Sweep {
  Sum v;
  float* sum;               ///< null: not wanted, or stored by an earlier sweep
  std::int64_t rows, columns, rank;
  int ranks;
  const float* factor;      ///< its column `rank`
  float* projected;
  bool aligned;

  /// A column's quads in kMany rows from `row` on, `stride` rows apart; zeros beyond the last.
  template <int kMany>
  __device__ void quads(std::int64_t row, std::int64_t column, Quad (&out)[kMany]) const {
    if (row + kMany <= rows && column + 4 <= columns) return load_quads(v, row * columns + column, columns, rows * columns, out);
#pragma unroll
    for (int t = 0; t < kMany; ++t) out[t] = row + t < rows ? v.from((row + t) * columns).quad(column, columns) : Quad{};
  }
  __device__ void keep(std::int64_t row, std::int64_t column, const Quad& quad) const {
    if (sum != nullptr && row < rows) store_quad(sum + row * columns, column, columns, aligned, quad);
  }
  __device__ Quad factor_quad(int r, std::int64_t column) const { return r < ranks ? load_quad(factor + r * columns, column, columns, aligned) : Quad{}; }
  template <int kMany>
  __device__ void factor_quads(int r0, std::int64_t column, Quad (&out)[kMany]) const {
    if (r0 + kMany <= ranks && column + 4 <= columns) return load_quads(Sum(factor, aligned), r0 * columns + column, columns, ranks * columns, out);
#pragma unroll
    for (int r = 0; r < kMany; ++r) out[r] = factor_quad(r0 + r, column);
  }
};

/// Few ranks: all threads share the columns of kRows rows, and their sums meet at the end.
template <int kRows, int kRanks>
__global__ void __launch_bounds__(kThreads) few_ranks_kernel(Sweep s) {
  __shared__ float partial[kWarps][kRows * kRanks];
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRows;
  float sums[kRows][kRanks] = {};
  for (std::int64_t j = 4 * static_cast<std::int64_t>(threadIdx.x); j < s.columns; j += 4 * kThreads) {
    Quad v[kRows];
    s.quads(row, j, v);
#pragma unroll
    for (int t = 0; t < kRows; ++t) s.keep(row + t, j, v[t]);
#pragma unroll
    for (int r0 = 0; r0 < kRanks; r0 += 4) {
      Quad f[4];
      s.factor_quads(r0, j, f);
#pragma unroll
      for (int r = 0; r < 4; ++r) {
#pragma unroll
        for (int t = 0; t < kRows; ++t) {
#pragma unroll
          for (int i = 0; i < 4; ++i) sums[t][r0 + r] = fmaf(v[t].at[i], f[r].at[i], sums[t][r0 + r]);
        }
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
  const int t = static_cast<int>(threadIdx.x) / kRanks, r = static_cast<int>(threadIdx.x) % kRanks;
  if (t >= kRows || row + t >= s.rows || r >= s.ranks) return;
  float sum = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) sum += partial[w][threadIdx.x];
  s.projected[r * s.rows + row + t] = sum;
}

constexpr int kTileRows = 32;
constexpr int kTileRanks = 32;
constexpr int kTileColumns = 64;
constexpr int kPadded = 36;      ///< rows of a column of a tile in shared memory: quads stay aligned, and four lanes that store a quad's columns meet two at a bank

/// A tile of 32 x 64 elements of the matrix or of the factor in registers: the quads of a thread lie in rows 8 (warp % 4) + lane / 4 and the columns
/// 4 (4 (warp / 4 + 2 half) + lane % 4).
struct Place {
  int row, column[2];
  __device__ Place() {
    const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
    row = 8 * (warp % 4) + lane / 4;
    for (int half = 0; half < 2; ++half) column[half] = 4 * (4 * (warp / 4 + 2 * half) + lane % 4);
  }
};

__device__ void transpose_into(float (&tile)[kTileColumns][kPadded], const Place& at, const Quad (&quads)[2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int i = 0; i < 4; ++i) tile[at.column[half] + i][at.row] = quads[half].at[i];
  }
}

/// Many ranks: 32 rows and 32 ranks a thread block, whose halves take 32 of a tile's 64 columns each; a thread keeps 4 x 2 sums. The next tile is on its way
/// while one is computed.
__global__ void __launch_bounds__(kThreads) many_ranks_kernel(Sweep s) {
  __shared__ alignas(16) float v_tile[kTileColumns][kPadded], f_tile[kTileColumns][kPadded];
  const std::int64_t top = static_cast<std::int64_t>(blockIdx.x) * kTileRows;
  const Place at;
  const int half = static_cast<int>(threadIdx.x) / 128, rows = static_cast<int>(threadIdx.x) % 128 / 16 * 4, ranks = static_cast<int>(threadIdx.x) % 16 * 2;
  float sums[4][2] = {};
  Quad v[2] = {}, f[2] = {};
  const auto fetch = [&](std::int64_t first) {
    constexpr int kApart = kTileColumns / 2;  // column[1] - column[0]
    if (top + at.row < s.rows) load_quads(s.v.from((top + at.row) * s.columns), first + at.column[0], kApart, s.columns, v);
    if (at.row < s.ranks) load_quads(Sum(s.factor + at.row * s.columns, s.aligned), first + at.column[0], kApart, s.columns, f);
  };
  fetch(0);
  for (std::int64_t first = 0; first < s.columns; first += kTileColumns) {
    transpose_into(v_tile, at, v);
    transpose_into(f_tile, at, f);
#pragma unroll
    for (int h = 0; h < 2; ++h) s.keep(top + at.row, first + at.column[h], v[h]);
    __syncthreads();
    fetch(first + kTileColumns);
#pragma unroll 8
    for (int k = kTileColumns / 2 * half; k < kTileColumns / 2 * (half + 1); ++k) {
      const float4 x = *reinterpret_cast<const float4*>(&v_tile[k][rows]);
      const float2 y = *reinterpret_cast<const float2*>(&f_tile[k][ranks]);
      const float x_of[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        sums[t][0] = fmaf(x_of[t], y.x, sums[t][0]);
        sums[t][1] = fmaf(x_of[t], y.y, sums[t][1]);
      }
    }
    __syncthreads();
  }
  if (half == 1) {
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      v_tile[ranks][rows + t] = sums[t][0];
      v_tile[ranks + 1][rows + t] = sums[t][1];
    }
  }
  __syncthreads();
  if (half == 1) return;
#pragma unroll
  for (int t = 0; t < 4; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (top + rows + t < s.rows && ranks + r < s.ranks) s.projected[(ranks + r) * s.rows + top + rows + t] = sums[t][r] + v_tile[ranks + r][rows + t];
    }
  }
}

}  // namespace

void project(const ProjectArguments& a, Stream stream) {
  if (a.rows == 0 || (a.columns == 0 && a.rank == 0)) return;
  const bool aligned = a.columns % 4 == 0 && aligned16(a.gradient) && aligned16(a.residual) && aligned16(a.sum) && aligned16(a.factor_RN);
  Sweep sweep{{a.gradient, a.residual}, a.sum, a.rows, a.columns, 0, 0, a.factor_RN, a.projected_RM, aligned};
  sweep.v.aligned = aligned;
  do {
    sweep.ranks = static_cast<int>(std::min<std::int64_t>(kTileRanks, a.rank - sweep.rank));
    sweep.factor = a.factor_RN + sweep.rank * a.columns;
    sweep.projected = a.projected_RM + sweep.rank * a.rows;
    if (sweep.ranks <= 4) few_ranks_kernel<8, 4><<<static_cast<unsigned>(divide_up(a.rows, 8)), kThreads, 0, native(stream)>>>(sweep);
    else if (sweep.ranks <= 8) few_ranks_kernel<4, 8><<<static_cast<unsigned>(divide_up(a.rows, 4)), kThreads, 0, native(stream)>>>(sweep);
    else many_ranks_kernel<<<static_cast<unsigned>(divide_up(a.rows, kTileRows)), kThreads, 0, native(stream)>>>(sweep);
    check_launch("project");
    sweep.rank += kTileRanks;
    if (a.sum != nullptr) sweep.v.gradient = a.sum, sweep.v.residual = nullptr;
    sweep.sum = nullptr;
  } while (sweep.rank < a.rank);
}

}  // namespace panther::cuda
