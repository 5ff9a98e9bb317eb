// Products with a thin factor. Bound by memory for ranks up to about 4: the matrix is read once, and the sum with the residual is
// made on the way. What comes out is summed over ranks before anybody decides by it, so fused multiply-adds are welcome here.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kLanes = 8;
constexpr int kRankTile = 4;
constexpr int kRowTile = 2;
constexpr std::int64_t kRowsPerTask = 16;
constexpr std::int64_t kColumnsPerTask = 256;  // at most: 1 KiB of a row at a time, so that what the processor fetches ahead is used

using Lanes = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

float total(const Lanes& lanes) {
  float sum = 0;
  for (int j = 0; j < kLanes; ++j) sum += lanes[j];
  return sum;
}

/// v = gradient + residual for a few rows, in the sweep that needs it first.
PANTHER_VECTORISED void add_rows(const float* gradient, const float* residual, float* sum, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] = gradient[i] + residual[i];
}

/// out[r][t] = <v row t, factor column r> for kRows rows and kRanks columns of the factor.
template <int kRows, int kRanks>
PANTHER_VECTORISED void dot_tile(const float* v, std::int64_t columns, const float* factor, float* out, std::int64_t out_stride) {
  Lanes sums[kRows][kRanks] = {};
  std::int64_t j = 0;
  for (; j + kLanes <= columns; j += kLanes) {
    Lanes f[kRanks];
    for (int r = 0; r < kRanks; ++r) f[r] = *reinterpret_cast<const Lanes*>(factor + r * columns + j);
    for (int t = 0; t < kRows; ++t) {
      const Lanes x = *reinterpret_cast<const Lanes*>(v + t * columns + j);
      for (int r = 0; r < kRanks; ++r) sums[t][r] += x * f[r];
    }
  }
  for (int t = 0; t < kRows; ++t) {
    for (int r = 0; r < kRanks; ++r) {
      float sum = total(sums[t][r]);
      for (std::int64_t c = j; c < columns; ++c) sum += v[t * columns + c] * factor[r * columns + c];
      out[r * out_stride + t] = sum;
    }
  }
}

template <int kRows>
void dot_rows(const float* v, std::int64_t columns, std::int64_t rank, const float* factor, float* out, std::int64_t out_stride) {
  std::int64_t r = 0;
  for (; r + kRankTile <= rank; r += kRankTile) dot_tile<kRows, kRankTile>(v, columns, factor + r * columns, out + r * out_stride, out_stride);
  for (; r < rank; ++r) dot_tile<kRows, 1>(v, columns, factor + r * columns, out + r * out_stride, out_stride);
}

void project_rows(const ProjectArguments& a, std::int64_t first, std::int64_t end) {
  for (std::int64_t i = first; i < end; i += kRowTile) {
    const std::int64_t rows = std::min<std::int64_t>(kRowTile, end - i);
    const float* v = a.gradient + i * a.columns;
    if (a.sum != nullptr) {
      float* sum = a.sum + i * a.columns;
      if (a.residual != nullptr) add_rows(v, a.residual + i * a.columns, sum, rows * a.columns);
      else std::memcpy(sum, v, static_cast<std::size_t>(rows * a.columns) * sizeof(float));
      v = sum;
    }
    if (a.rank == 0) continue;  // a sum alone was wanted: there is neither a factor nor memory for products
    if (rows == kRowTile) dot_rows<kRowTile>(v, a.columns, a.rank, a.factor_RN, a.projected_RM + i, a.rows);
    else dot_rows<1>(v, a.columns, a.rank, a.factor_RN, a.projected_RM + i, a.rows);
  }
}

/// out[r][0..width) += sum over four rows of left[r][row] v[row]; `out` lies in the first cache.
template <int kRanks>
PANTHER_VECTORISED void add_four_rows(const float* v, std::int64_t columns, std::int64_t width, const float* left, std::int64_t rows, float* out,
                                      std::int64_t out_stride) {
  float l[kRanks][4];
  for (int r = 0; r < kRanks; ++r) {
    for (int t = 0; t < 4; ++t) l[r][t] = left[r * rows + t];
  }
  std::int64_t j = 0;
  for (; j + kLanes <= width; j += kLanes) {
    Lanes x[4];
    for (int t = 0; t < 4; ++t) x[t] = *reinterpret_cast<const Lanes*>(v + t * columns + j);
    for (int r = 0; r < kRanks; ++r) {
      Lanes* target = reinterpret_cast<Lanes*>(out + r * out_stride + j);
      *target += (l[r][0] * x[0] + l[r][1] * x[1]) + (l[r][2] * x[2] + l[r][3] * x[3]);
    }
  }
  for (; j < width; ++j) {
    for (int r = 0; r < kRanks; ++r) {
      const float sum = (l[r][0] * v[j] + l[r][1] * v[columns + j]) + (l[r][2] * v[2 * columns + j] + l[r][3] * v[3 * columns + j]);
      out[r * out_stride + j] += sum;
    }
  }
}

PANTHER_VECTORISED void add_row(const float* v, std::int64_t width, float left, float* out) {
  for (std::int64_t j = 0; j < width; ++j) out[j] += left * v[j];
}

}  // namespace

void project(const ProjectArguments& a, Stream) {
  const std::int64_t tasks = (a.rows + kRowsPerTask - 1) / kRowsPerTask;
  parallel_for(tasks, a.rows * a.columns * std::max<std::int64_t>(1, a.rank), [&](std::int64_t task) {
    project_rows(a, task * kRowsPerTask, std::min(a.rows, (task + 1) * kRowsPerTask));
  });
}

void project_transposed(const float* v_MN, std::int64_t rows, std::int64_t columns, std::int64_t rank, const float* factor_RM, float* projected_RN,
                        Stream) {
  const std::int64_t per_task = columns >= 4 * kColumnsPerTask ? kColumnsPerTask : kColumnsPerTask / 4;
  parallel_for((columns + per_task - 1) / per_task, rows * columns * rank, [&](std::int64_t task) {
    const std::int64_t first = task * per_task;
    const std::int64_t width = std::min(per_task, columns - first);
    for (std::int64_t r0 = 0; r0 < rank; r0 += kRankTile) {
      const std::int64_t ranks = std::min<std::int64_t>(kRankTile, rank - r0);
      float out[kRankTile * kColumnsPerTask] = {};
      const float* left = factor_RM + r0 * rows;
      std::int64_t i = 0;
      for (; i + 4 <= rows; i += 4) {
        const float* v = v_MN + i * columns + first;
        if (ranks == kRankTile) {
          add_four_rows<kRankTile>(v, columns, width, left + i, rows, out, kColumnsPerTask);
        } else {
          for (std::int64_t r = 0; r < ranks; ++r) add_four_rows<1>(v, columns, width, left + r * rows + i, rows, out + r * kColumnsPerTask, kColumnsPerTask);
        }
      }
      for (; i < rows; ++i) {
        for (std::int64_t r = 0; r < ranks; ++r) add_row(v_MN + i * columns + first, width, left[r * rows + i], out + r * kColumnsPerTask);
      }
      for (std::int64_t r = 0; r < ranks; ++r) {
        std::memcpy(projected_RN + (r0 + r) * columns + first, out + r * kColumnsPerTask, static_cast<std::size_t>(width) * sizeof(float));
      }
    }
  });
}

}  // namespace panther::cpu
