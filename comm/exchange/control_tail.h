#pragma once
// What all ranks must know of each other at every step, written behind the gradients of the first bucket.
//
// Every rank owns nine elements: the eight bytes of its loss (an f64, lowest first) and one byte of flags. It writes its own and
// leaves the others zero; a byte is an integer of 0 to 255, exact in f64, f32, bf16 and f16, and stays so when zeros are added.
// So a sum over ranks brings every rank's loss and flags to everyone without rounding, in whatever dtype the bucket travels,
// summed by whatever algorithm, at 9 p elements and no message of its own. Losses are then added in rank order: the same bits
// everywhere. A flags byte always has its highest bit set, so a rank that is missing or counted twice is seen and named.
#include <cstdint>
#include <vector>

#include "comm/exchange/exchange.h"
#include "kernels/view.h"

namespace panther::comm {

struct ControlSum {
  ControlWord any;
  bool plan = false;                  ///< a rank asks for a plan before the next step
  std::vector<int> nonfinite_ranks;   ///< that said so
  double loss_sum = 0;
  std::int64_t contributions = 0;  ///< ranks counted exactly once
  int first_wrong = -1;            ///< the first rank that was not; -1 when all were
};

/// Fills `tail` (host memory, one dimension, control_elements(ranks) long, any floating dtype). `plan`: this rank asks for one.
void write_control(const TensorView& tail, int rank, int ranks, const ControlWord& control, double loss, bool plan = false);
/// Reads what the sum over ranks made of it.
ControlSum read_control(const TensorView& tail, int ranks);

/// The contribution count of other messages: one element per rank, 1 in this rank's, 0 in the others'.
void write_presence(const TensorView& tail, int rank, int ranks);
/// The first rank not counted exactly once, -1 when all were.
int read_presence(const TensorView& tail, int ranks);

}  // namespace panther::comm
