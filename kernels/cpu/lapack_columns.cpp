#include "kernels/cpu/lapack_columns.h"

#include <atomic>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/linalg/lapack_arguments.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kChunk = 4096;  ///< elements per partial sum: fixed, so sums do not depend on threads

PANTHER_VECTORISED double sum_squares(const float* x, std::int64_t count) {
  double lane[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int l = 0; l < 8; ++l) lane[l] += static_cast<double>(x[i + l]) * static_cast<double>(x[i + l]);
  }
  for (int l = 0; i < count; ++i, ++l) lane[l] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

PANTHER_VECTORISED double sum_squares(const double* x, std::int64_t count) {
  double lane[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int l = 0; l < 8; ++l) lane[l] += x[i + l] * x[i + l];
  }
  for (int l = 0; i < count; ++i, ++l) lane[l] += x[i] * x[i];
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

// x - x is 0 for finite x and nan else, and sums of zeros stay zero: one pass that vectorises without branches.
PANTHER_VECTORISED bool finite(const float* x, std::int64_t count) {
  float lane[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int l = 0; l < 16; ++l) lane[l] += x[i + l] - x[i + l];
  }
  for (int l = 0; i < count; ++i, ++l) lane[l] += x[i] - x[i];
  float sum = 0;
  for (const float value : lane) sum += value;
  return sum == 0;
}

PANTHER_VECTORISED bool finite(const double* x, std::int64_t count) {
  double lane[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int l = 0; l < 8; ++l) lane[l] += x[i + l] - x[i + l];
  }
  for (int l = 0; i < count; ++i, ++l) lane[l] += x[i] - x[i];
  double sum = 0;
  for (const double value : lane) sum += value;
  return sum == 0;
}

template <class Real>
bool columns_finite(const TensorView& a_MN) {
  const std::int64_t rows = a_MN.shape[0], leading = linalg::leading_dimension(a_MN);
  std::atomic<bool> all = true;
  parallel_for(a_MN.shape[1], a_MN.numel(), [&](std::int64_t j) {
    if (all.load(std::memory_order_relaxed) && !finite(a_MN.as<const Real>() + j * leading, rows)) all.store(false, std::memory_order_relaxed);
  });
  return all.load();
}

template <class Real>
void norms(const TensorView& a_MN, double* squares) {
  const std::int64_t rows = a_MN.shape[0], leading = linalg::leading_dimension(a_MN);
  parallel_for(a_MN.shape[1], a_MN.numel(), [&](std::int64_t j) {
    const Real* column = a_MN.as<const Real>() + j * leading;
    double sum = 0;
    for (std::int64_t i = 0; i < rows; i += kChunk) sum += sum_squares(column + i, std::min(kChunk, rows - i));
    squares[j] = sum;
  });
}

template <class Real>
void fill_part(char part, Real value, Real diagonal, const TensorView& a_MN) {
  const std::int64_t rows = a_MN.shape[0], leading = linalg::leading_dimension(a_MN);
  parallel_for(a_MN.shape[1], a_MN.numel(), [&](std::int64_t j) {
    Real* column = a_MN.as<Real>() + j * leading;
    if (part != 'L') std::fill(column, column + std::min(j, rows), value);
    if (part == 'A' && j < rows) column[j] = diagonal;
    if (part != 'U' && j + 1 < rows) std::fill(column + j + 1, column + rows, value);
  });
}

/// `count` columns, the j-th from and to the pair places(j).
template <class Places>
void move_columns(const TensorView& source, const TensorView& destination, std::int64_t count, const Places& places) {
  const std::size_t size = size_of(source.dtype), bytes = static_cast<std::size_t>(source.shape[0]) * size;
  if (bytes == 0) return;
  const std::int64_t from = linalg::leading_dimension(source), to = linalg::leading_dimension(destination);
  parallel_for(count, count * source.shape[0], [&](std::int64_t j) {
    const auto [read, write] = places(j);
    std::memcpy(destination.as<char>() + static_cast<std::size_t>(write * to) * size, source.as<const char>() + static_cast<std::size_t>(read * from) * size, bytes);
  });
}

}  // namespace

void gather_columns(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, Allocator&, Stream) {
  linalg::check_gather(source, columns, destination, DeviceKind::cpu);
  move_columns(source, destination, destination.shape[1], [&](std::int64_t j) { return std::pair(columns[static_cast<std::size_t>(j)], j); });
}

void scatter_columns(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, Allocator&, Stream) {
  linalg::check_scatter(source, columns, destination, DeviceKind::cpu);
  move_columns(source, destination, source.shape[1], [&](std::int64_t j) { return std::pair(j, columns[static_cast<std::size_t>(j)]); });
}

void column_norms(const TensorView& a_MN, const TensorView& squares_N, Stream) {
  linalg::require_column_major(a_MN, DeviceKind::cpu, "column_norms: a");
  linalg::require_vector(squares_N, DType::f64, a_MN.shape[1], DeviceKind::cpu, "column_norms: squares");
  if (a_MN.dtype == DType::f64) return norms<double>(a_MN, squares_N.as<double>());
  norms<float>(a_MN, squares_N.as<double>());
}

void fill(char part, double value, double diagonal, const TensorView& a_MN, Stream) {
  linalg::require_column_major(a_MN, DeviceKind::cpu, "fill: a");
  PANTHER_REQUIRE(part == 'A' || part == 'L' || part == 'U', "fill: part ", part, " is none of A L U");
  if (a_MN.dtype == DType::f64) return fill_part<double>(part, value, diagonal, a_MN);
  fill_part<float>(part, static_cast<float>(value), static_cast<float>(diagonal), a_MN);
}

bool all_finite(const TensorView& a_MN, Allocator&, Stream) {
  linalg::require_column_major(a_MN, DeviceKind::cpu, "all_finite: a");
  return a_MN.dtype == DType::f64 ? columns_finite<double>(a_MN) : columns_finite<float>(a_MN);
}

}  // namespace panther::cpu
