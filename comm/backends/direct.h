#pragma once
// Collectives in which every rank talks to every other one: few steps for small messages, and sums of bf16 and f16 that are
// rounded once because the rank that owns a chunk sees all of its terms.
#include <cstddef>

#include "comm/backends/chunks.h"
#include "comm/backends/scratch.h"
#include "comm/backends/transport.h"
#include "comm/collective.h"

namespace panther::comm {

/// data = op over all ranks' data in rank order; everybody sends everything to everybody: (p - 1) bytes, one step.
void direct_all_reduce(Transport& transport, Scratch& scratch, std::byte* data, std::int64_t bytes, DType dtype, ReduceOp op,
                       Deadline deadline);
/// output = op over all ranks' chunk r of `input`, in rank order, on rank r. `output` may be chunk r of `input` itself.
/// Sends bytes - size(r).
void direct_reduce_scatter(Transport& transport, Scratch& scratch, const std::byte* input, std::byte* output, const Chunks& chunks,
                           DType dtype, ReduceOp op, Deadline deadline);
/// Chunk r of rank r's data is copied to every rank: (p - 1) size(r) bytes, one step.
void direct_all_gather(Transport& transport, std::byte* data, const Chunks& chunks, Deadline deadline);
/// Chunk s of rank r's input becomes chunk r of rank s's output.
void direct_all_to_all(Transport& transport, const std::byte* input, std::byte* output, const Chunks& chunks, Deadline deadline);
/// From root down a binomial tree: log2 p steps.
void tree_broadcast(Transport& transport, std::byte* data, std::int64_t bytes, int root, Deadline deadline);
/// To how many ranks `rank` hands on what comes down that tree. Pure.
int tree_children(int rank, int root, int ranks) noexcept;
/// Returns when all ranks have called it (dissemination: log2 p steps of one byte).
void dissemination_barrier(Transport& transport, Deadline deadline);

}  // namespace panther::comm
