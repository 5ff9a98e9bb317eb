#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/pack/count_sketch_places.h"
#include "kernels/pack/pack_kernels.h"
#include "kernels/pack/sign_words.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kBlock = kCountSketchBlock;
constexpr int kMostRows = kCountSketchMostRows;

/// First cell of a block of elements.
std::int64_t cell_of(const CountSketch& sketch, std::uint64_t key, std::int64_t block) { return count_sketch_place(key, block, sketch.columns / kBlock) * kBlock; }

[[gnu::always_inline]] inline void add_signed(const float* v, std::int64_t count, std::uint64_t signs, float* cells) {
  alignas(64) float flipped[kBlock];
  flip_signs(v, flipped, count, signs);
  for (std::int64_t i = 0; i < count; ++i) cells[i] += flipped[i];
}

/// All blocks into rows [first_row, end_row); `keep`: their sum is stored too.
PANTHER_VECTORISED void insert_blocks(const CountSketchInsert& a, int first_row, int end_row, bool keep) {
  std::uint64_t keys[kMostRows];
  for (int row = first_row; row < end_row; ++row) keys[row] = count_sketch_row_key(a.sketch, row);
  const std::int64_t blocks = (a.count + kBlock - 1) / kBlock;
  alignas(64) float v[kBlock];
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t begin = block * kBlock, count = std::min(kBlock, a.count - begin);
    if (a.residual == nullptr) std::memcpy(v, a.gradient + begin, static_cast<std::size_t>(count) * sizeof(float));
    else for (std::int64_t i = 0; i < count; ++i) v[i] = a.gradient[begin + i] + a.residual[begin + i];
    if (keep) std::memcpy(a.sum + begin, v, static_cast<std::size_t>(count) * sizeof(float));
    for (int row = first_row; row < end_row; ++row) {
      float* cells = a.cells + row * a.sketch.columns + cell_of(a.sketch, keys[row], block);
      if (count == kBlock) add_signed(v, kBlock, sign_word(keys[row], block), cells);
      else add_signed(v, count, sign_word(keys[row], block), cells);
    }
  }
}

template <int rows>
[[gnu::always_inline]] inline void estimate_rows(const CountSketch& sketch, const float* cells, std::int64_t first, std::int64_t end, std::int64_t count, float* out) {
  std::uint64_t keys[kMostRows];
  for (int row = 0; row < rows; ++row) keys[row] = count_sketch_row_key(sketch, row);
  alignas(64) float value[kMostRows][kBlock];
  for (std::int64_t block = first; block < end; ++block) {
    const std::int64_t begin = block * kBlock, here = std::min(kBlock, count - begin);
    for (int row = 0; row < rows; ++row) {
      flip_signs(cells + row * sketch.columns + cell_of(sketch, keys[row], block), value[row], kBlock, sign_word(keys[row], block));
    }
    for (std::int64_t i = 0; i < here; ++i) out[begin + i] = count_sketch_median<rows>([&](int row) { return value[row][i]; });
  }
}

PANTHER_VECTORISED void estimate_blocks(const CountSketch& sketch, const float* cells, std::int64_t first, std::int64_t end, std::int64_t count, float* out) {
  if (sketch.rows == 1) estimate_rows<1>(sketch, cells, first, end, count, out);
  else if (sketch.rows == 3) estimate_rows<3>(sketch, cells, first, end, count, out);
  else estimate_rows<5>(sketch, cells, first, end, count, out);
}

}  // namespace

void count_sketch_insert(const CountSketchInsert& a, Stream) {
  std::memset(a.cells, 0, static_cast<std::size_t>(a.sketch.rows * a.sketch.columns) * sizeof(float));
  // Alone, one pass feeds all rows; else every row takes its own, so that nobody adds to another's cells.
  const int rows = static_cast<int>(a.sketch.rows), tasks = thread_count() > 1 ? rows : 1;
  parallel_for(tasks, a.count * rows, [&](std::int64_t task) {
    const auto row = static_cast<int>(task);
    insert_blocks(a, row, tasks == 1 ? rows : row + 1, row == 0);
  });
}

void count_sketch_estimate(const CountSketch& sketch, const float* cells, std::int64_t count, float* out, Stream) {
  constexpr std::int64_t kTaskBlocks = 256;
  const std::int64_t blocks = (count + kBlock - 1) / kBlock;
  parallel_for((blocks + kTaskBlocks - 1) / kTaskBlocks, count * sketch.rows, [&](std::int64_t task) {
    estimate_blocks(sketch, cells, task * kTaskBlocks, std::min(blocks, (task + 1) * kTaskBlocks), count, out);
  });
}

}  // namespace panther::cpu
