#pragma once
// A few host integers of every rank, for everyone. Not for the hot path.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/export.h"

namespace panther::comm {

/// size() times values.size() integers in rank order. Every rank gives equally many. Blocks the host; on a device backend the
/// values pass through the current device's memory, queued on `stream`.
PANTHER_COMM_API std::vector<std::int64_t> gather_integers(Collective& collective, std::span<const std::int64_t> values, Stream stream, Deadline deadline);

/// What the lowest rank that has something to say says, for everyone; "" where none has, and then it costs one integer. Every rank calls it.
PANTHER_COMM_API std::string first_text(Collective& collective, const std::string& own, Stream stream, Deadline deadline);

}  // namespace panther::comm
