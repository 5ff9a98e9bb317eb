#pragma once
// Sums whose bits depend on nothing but the terms: every element is added in rank order, whatever the backend, the message it travels in, or the run.
#include <memory>

#include "comm/collective.h"

namespace panther::comm {

/// all_reduce(sum) of floating buffers becomes all_to_all, a sum in rank order (f32 for two-byte types, with one rounding), all_gather: the bytes of a ring,
/// in 2 steps of messages to every rank. All else is `inner`'s. Works on the buffers that `inner` takes.
PANTHER_COMM_API std::unique_ptr<Collective> make_ordered_collective(std::unique_ptr<Collective> inner);

}  // namespace panther::comm
