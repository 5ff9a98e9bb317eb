#pragma once
// Launch geometry of the Hadamard transform whose rows stand in registers, as pure functions, so that it is tested without a GPU.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_plan.h"

namespace panther::cuda {

/// Bits of the row number that one pass can transform: 5 in the registers of a thread, 5 more after an exchange through shared memory.
inline constexpr int kRegisterPassBits = 10;
/// Bits of the second of two passes in one launch: it needs no exchange.
inline constexpr int kSecondPassBits = 5;
/// What a panel of columns takes in the L2 cache between the two passes of one launch (50 MB on an H100, in two halves).
inline constexpr std::int64_t kTransformPanelBytes = std::int64_t{4} << 20;
inline constexpr std::int64_t kTransformPanelColumns = 32;
/// Panels by which the first pass is ahead of the second, so that nobody waits: more tiles than a GPU has at work at a time.
inline constexpr std::int64_t kTransformLead = 3;

/// Threads of a block: 32 rows in the registers of each are 64 KiB.
inline constexpr int register_pass_threads(std::int64_t accumulator_bytes) { return static_cast<int>(2048 / accumulator_bytes); }

/// One pass: 2^(low + high) rows to a tile, low bits first; high <= low <= high + 1, or high = 0.
struct RegisterPass {
  int low = 0, high = 0;
  int bits() const { return low + high; }
};

/// Up to 5 bits need no exchange.
inline RegisterPass register_pass(int bits) { return bits <= 5 ? RegisterPass{bits, 0} : RegisterPass{(bits + 1) / 2, bits / 2}; }

struct RegisterTransformPlan {
  int passes = 0;  ///< 0: not this way
  int bits[3] = {};
  bool one_launch = false;  ///< of two passes, through the L2 cache
};

/// Only for neighbouring columns, and enough of them to fill a memory sector. More than one pass keeps sums in x between them: only where
/// the element is its own accumulator.
inline RegisterTransformPlan plan_register_transform(int log2_size, std::int64_t columns, bool columns_are_neighbours, bool exact_between) {
  RegisterTransformPlan plan;
  const int passes = std::max(1, (log2_size + kRegisterPassBits - 1) / kRegisterPassBits);
  if (!columns_are_neighbours || columns < 8 || passes > 3 || (passes > 1 && !exact_between)) return plan;
  plan.passes = passes;
  if (passes == 2 && log2_size <= kRegisterPassBits + kSecondPassBits) {
    plan.bits[0] = log2_size - kSecondPassBits;
    plan.bits[1] = kSecondPassBits;
    plan.one_launch = true;
    return plan;
  }
  for (int i = 0, left = log2_size; i < passes; left -= plan.bits[i], ++i) plan.bits[i] = (left + passes - i - 1) / (passes - i);
  return plan;
}

/// The tiles of two passes in one launch. Blocks take them by number; a tile of the second pass waits for all first ones of its panel, which have smaller
/// numbers and so were taken before.
struct PanelOrder {
  std::int64_t panels = 0, first_tiles = 0, second_tiles = 0;  ///< tiles of one panel
  std::int64_t panel_columns = 0;
  std::int64_t tiles() const { return panels * (first_tiles + second_tiles); }
};

struct PanelTile {
  bool second = false;
  std::int64_t panel = 0, tile = 0;
};

/// `first_rows` x `first_lanes` and `second_rows` x kTransformPanelColumns elements to a tile (the second pass several groups of rows).
inline PanelOrder plan_panels(int log2_size, std::int64_t columns, std::int64_t first_rows, std::int64_t first_lanes, std::int64_t second_rows, std::int64_t element_bytes) {
  PanelOrder order;
  order.panel_columns = std::max(kTransformPanelColumns, first_lanes);
  while ((element_bytes * order.panel_columns * 2 << log2_size) <= kTransformPanelBytes && order.panel_columns < columns) order.panel_columns *= 2;
  order.panels = divide_up(columns, order.panel_columns);
  order.first_tiles = ((std::int64_t{1} << log2_size) / first_rows) * (order.panel_columns / first_lanes);
  order.second_tiles = ((std::int64_t{1} << log2_size) / second_rows) * (order.panel_columns / kTransformPanelColumns);
  return order;
}

PANTHER_HOST_DEVICE constexpr PanelTile panel_tile(const PanelOrder& order, std::int64_t number) {
  const std::int64_t lead = kTransformLead < order.panels ? kTransformLead : order.panels;
  if (number < lead * order.first_tiles) return {false, number / order.first_tiles, number % order.first_tiles};
  number -= lead * order.first_tiles;
  const std::int64_t both = order.first_tiles + order.second_tiles, rounds = order.panels - lead;
  if (number < rounds * both) {
    const std::int64_t round = number / both, tile = number % both;
    if (tile < order.first_tiles) return {false, lead + round, tile};
    return {true, round, tile - order.first_tiles};
  }
  number -= rounds * both;
  return {true, rounds + number / order.second_tiles, number % order.second_tiles};
}

/// Where a row of a tile stands in shared memory, in rows: one row of padding after 2^low, so that neither side of the exchange has two lanes at one bank.
PANTHER_HOST_DEVICE constexpr int exchange_row(int row, int low) { return row + (row >> low); }

}  // namespace panther::cuda
