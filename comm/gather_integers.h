#pragma once
// A few host integers of every rank, for everyone. Not for the hot path.
#include <cstdint>
#include <span>
#include <vector>

#include "comm/collective.h"
#include "comm/export.h"

namespace panther::comm {

/// size() times values.size() integers in rank order. Every rank gives equally many. Blocks the host; on a device backend the
/// values pass through the current device's memory, queued on `stream`.
PANTHER_COMM_API std::vector<std::int64_t> gather_integers(Collective& collective, std::span<const std::int64_t> values, Stream stream, Deadline deadline);

}  // namespace panther::comm
