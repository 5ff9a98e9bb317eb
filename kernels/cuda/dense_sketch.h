#pragma once
// The CUDA table behind KernelSet::dense_sketch.
#include "kernels/sketch/dense_kernels.h"

namespace panther::cuda {

void expand(const DenseSketch& sketch, double scale, const TensorView& out_VE, Stream stream);

extern const DenseSketchKernels kDenseSketch;

}  // namespace panther::cuda
