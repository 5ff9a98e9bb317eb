#pragma once
// The peak that MFU (model FLOPs utilisation) is measured against.
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string_view>

#include "runtime/export.h"

namespace panther::runtime {

/// Dense matrix peak in FLOP/s of a GPU by its name, from its data sheet (no sparsity; f32 means the TF32 tensor cores when
/// `tensor_f32`); 0 when the name is not known. Pure.
PANTHER_RUNTIME_API double data_sheet_flops(std::string_view device_name, at::ScalarType compute, bool tensor_f32);

/// Peak in FLOP/s of `device` computing in `compute`: the data sheet for GPUs; for the CPU a matrix product timed for about 0.1 s with
/// torch's current number of threads. 0 when not known.
PANTHER_RUNTIME_API double peak_flops(at::Device device, at::ScalarType compute);

}  // namespace panther::runtime
