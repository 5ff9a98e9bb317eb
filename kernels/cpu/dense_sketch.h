#pragma once
// The CPU's table behind KernelSet::dense_sketch.
#include "kernels/sketch/dense_kernels.h"

namespace panther::cpu {

extern const DenseSketchKernels kDenseSketch;

}  // namespace panther::cpu
