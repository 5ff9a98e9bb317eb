#pragma once
// Measures a device's rates for the cost model. A thin shell around clocks and kernels; decisions are in cost_model.h.
#include <span>

#include "kernels/allocator.h"
#include "kernels/linear/cost_model.h"

namespace panther {

/// Some tens of ms per dtype on a CPU core; dtypes not asked for keep their defaults. Waits for the stream. Ranks that must choose
/// alike share one rank's result. Throws Unsupported when the set has no LinearKernels.
PANTHER_KERNELS_API Calibration calibrate(const KernelSet& kernels, std::span<const DType> dtypes, Allocator& allocator = plain_allocator(),
                                          Stream stream = {});

}  // namespace panther
