#include "kernels/check_arguments.h"
#include "kernels/cuda/dense_sketch.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/entries.h"
#include "kernels/cuda/real_block.cuh"

namespace panther::cuda {
namespace {

/// Blocks of four elements [first_block, first_block + blocks) cover one vector's part.
struct Expansion {
  DenseSketch sketch;
  std::int64_t vectors, elements, first_block, blocks, vector_stride, element_stride;
};

template <class T>
__global__ void real_expand_kernel(Expansion e, double scale, T* out) {
  const std::int64_t pairs = e.vectors * e.blocks;
  for (std::int64_t pair = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; pair < pairs; pair += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    const std::int64_t vector = pair / e.blocks, block = e.first_block + pair % e.blocks, element = block * 4 - e.sketch.first_element;
    const NormalBlock entries =
        real_block(e.sketch, static_cast<std::uint32_t>(e.sketch.first_vector + vector), static_cast<std::uint32_t>(block));
    for (int w = 0; w < 4; ++w) {
      if (element + w < 0 || element + w >= e.elements) continue;
      out[vector * e.vector_stride + (element + w) * e.element_stride] = convert<T>(scale * static_cast<double>(entries.value[w]));
    }
  }
}

}  // namespace

void expand(const DenseSketch& sketch, double scale, const TensorView& out_VE, Stream stream) {
  check::sign_expand(sketch.first_vector, sketch.first_element, out_VE);
  if (sketch.distribution == DenseDistribution::signs) {
    return sign_expand(sketch.key, sketch.first_vector, sketch.first_element, scale, out_VE, stream);
  }
  const std::int64_t vectors = out_VE.shape[0], elements = out_VE.shape[1];
  if (vectors * elements == 0) return;
  const DeviceScope scope(out_VE.device.index);
  const std::int64_t first_block = sketch.first_element / 4, blocks = (sketch.first_element + elements - 1) / 4 - first_block + 1;
  const Expansion expansion{sketch, vectors, elements, first_block, blocks, out_VE.strides[0], out_VE.strides[1]};
  const auto grid = static_cast<unsigned>(std::min(kMaxBlocks, divide_up(vectors * blocks, kThreads)));
  with_floating(out_VE.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    real_expand_kernel<T><<<grid, kThreads, 0, native(stream)>>>(expansion, scale, out_VE.as<T>());
  });
  check_launch("dense sketch expand");
}

}  // namespace panther::cuda
