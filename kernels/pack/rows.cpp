#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kRowsPerTask = 64;  // whole bytes of the bitmap

bool any_bit(const float* row, std::int64_t columns) {
  std::uint32_t bits = 0;
  for (std::int64_t j = 0; j < columns; ++j) {
    std::uint32_t word;
    std::memcpy(&word, row + j, sizeof(word));
    bits |= word;
    if (j % 64 == 63 && bits != 0) return true;
  }
  return bits != 0;
}

}  // namespace

void touched_rows(const float* values_MN, std::int64_t rows, std::int64_t columns, std::uint8_t* bitmap, Stream) {
  parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, rows * columns, [&](std::int64_t task) {
    const std::int64_t first = task * kRowsPerTask;
    const std::int64_t end = std::min(rows, first + kRowsPerTask);
    for (std::int64_t byte = first / 8; byte < (end + 7) / 8; ++byte) bitmap[byte] = 0;
    for (std::int64_t i = first; i < end; ++i) {
      if (any_bit(values_MN + i * columns, columns)) bitmap[i / 8] = static_cast<std::uint8_t>(bitmap[i / 8] | (1u << (i % 8)));
    }
  });
}

void gather_rows(const float* values_MN, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* out, Stream) {
  parallel_for(count, count * columns, [&](std::int64_t i) {
    std::memcpy(out + i * columns, values_MN + rows[i] * columns, static_cast<std::size_t>(columns) * sizeof(float));
  });
}

void scatter_rows(const float* packed, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* values_MN, Stream) {
  parallel_for(count, count * columns, [&](std::int64_t i) {
    std::memcpy(values_MN + rows[i] * columns, packed + i * columns, static_cast<std::size_t>(columns) * sizeof(float));
  });
}

}  // namespace panther::cpu
