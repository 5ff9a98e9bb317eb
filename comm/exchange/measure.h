#pragma once
// What the planner must know of this machine and this link, measured. Shells around clocks; decisions are in comm/exchange/planner.h.
#include "comm/exchange/candidates.h"
#include "comm/exchange/planner.h"

namespace panther::comm {

/// Rate and latency of all_reduces among the collective's ranks, as rank 0 measured them: the same on all ranks, which call it together.
/// Messages grow fourfold from 64 KiB until one takes 50 ms, so that a slow link costs some tenths of a second and a fast one is not
/// judged by its latency; the rate is that of the last growth, which a burst allowance does not flatter. `device`: where the buffers lie.
PANTHER_COMM_API LinkRate measure_link(Collective& collective, Allocator& allocator, Device device, Deadline deadline);

/// Seconds that encoding and decoding one matrix element takes: the least of three, on a 768 x 768 gradient (2048 x 2048 on a GPU) among `ranks` ranks.
PANTHER_COMM_API double codec_seconds_per_element(const Candidate& candidate, const KernelSet& kernels, Allocator& allocator, Device device, int ranks);

/// |residual| / |gradient| to expect of this codec in training where gradients are like `matrix` (rows x columns, f32, host; the first 2^20 elements of it at most): e / (1 - e), e being
/// the relative error of the last of four steps on it without error feedback, after which warm starts have settled. 0 where it lost nothing; negative where nothing can be
/// told (zeros, nan).
PANTHER_COMM_API double residual_on(const Candidate& candidate, const KernelSet& kernels, Allocator& allocator, const TensorView& matrix);

}  // namespace panther::comm
