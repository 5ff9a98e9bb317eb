#pragma once
// The ring: every rank sends to the next one and receives from the one before, chunk after chunk, cut into segments so that
// a segment is reduced while the next one travels (Patarasuk and Yuan, JPDC 2009).
#include <cstddef>

#include "comm/backends/chunks.h"
#include "comm/backends/scratch.h"
#include "comm/backends/transport.h"
#include "comm/collective.h"

namespace panther::comm {

/// data = op over all ranks' data, chunk r being finished by rank r. Sends 2 bytes - size(r) - size(r + 1). The order of
/// the additions of an element depends on its chunk and the number of ranks, never on time. Not for sums of halves.
void ring_all_reduce(Transport& transport, Scratch& scratch, std::byte* data, const Chunks& chunks, DType dtype, ReduceOp op,
                     Deadline deadline);
/// Chunk r of rank r's data is copied to every rank. Sends bytes - size(r + 1).
void ring_all_gather(Transport& transport, Scratch& scratch, std::byte* data, const Chunks& chunks, Deadline deadline);
/// Rank `root`'s data goes from neighbour to neighbour.
void ring_broadcast(Transport& transport, std::byte* data, std::int64_t bytes, int root, Deadline deadline);

}  // namespace panther::comm
