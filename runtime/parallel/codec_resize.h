#pragma once
// Codec state of a run that goes on with another number of ranks. Pure.
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "runtime/export.h"

namespace panther::runtime {

/// What each of `ranks` ranks loads, from the states of all ranks before. Residuals ("<parameter>/residual") and momenta ("<parameter>/momentum") are what training still owes: the exchange adds
/// over ranks, so each takes an equal part of the sum, and the sum stays what it was. All else (steps, factors, plans) is the same on every
/// rank and taken over, but a rank's own parameters between exchanges ("own/<parameter>"): those are gone, and all go on from the common ones. Throws InvalidArgument when residuals of one parameter differ in size.
PANTHER_RUNTIME_API std::map<std::string, at::Tensor> resized_codec_state(const std::vector<std::map<std::string, at::Tensor>>& before, int ranks);

}  // namespace panther::runtime
