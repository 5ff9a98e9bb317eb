#include "kernels/check_arguments.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/entries.h"
#include "kernels/element/sign.h"

namespace panther::cuda {
namespace {

/// Which signs go where. `blocks` Philox blocks of 128 elements cover one vector's part.
struct Expansion {
  SignKey key;
  std::int64_t first_vector, first_element, vectors, elements, first_block, blocks;
  std::int64_t vector_stride, element_stride;
};

/// Each thread makes one Philox block of signs; the whole block then writes them out side by side.
template <class T>
__global__ void expand_kernel(Expansion e, T scale, T* out) {
  __shared__ std::uint32_t words[kThreads][4];
  const std::int64_t pairs = e.vectors * e.blocks;
  for (std::int64_t base = static_cast<std::int64_t>(blockIdx.x) * kThreads; base < pairs; base += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    const std::int64_t pair = base + threadIdx.x;
    if (pair < pairs) {
      const PhiloxBlock block = sign_block(e.key, static_cast<std::uint32_t>(e.first_vector + pair / e.blocks), static_cast<std::uint32_t>(e.first_block + pair % e.blocks));
      for (int w = 0; w < 4; ++w) words[threadIdx.x][w] = block.word[w];
    }
    __syncthreads();
    const int count = static_cast<int>(pairs - base < kThreads ? pairs - base : kThreads) * 128;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
      const std::int64_t here = base + i / 128;
      const std::int64_t element = (e.first_block + here % e.blocks) * 128 + i % 128 - e.first_element;
      if (element < 0 || element >= e.elements) continue;
      out[here / e.blocks * e.vector_stride + element * e.element_stride] = with_sign(scale, (words[i / 128][i % 128 / 32] >> (i % 32)) & 1u);
    }
    __syncthreads();
  }
}

}  // namespace

void sign_expand(SignKey key, std::int64_t first_vector, std::int64_t first_element, double scale, const TensorView& out_VE, Stream stream) {
  check::sign_expand(first_vector, first_element, out_VE);
  const std::int64_t vectors = out_VE.shape[0], elements = out_VE.shape[1];
  if (vectors * elements == 0) return;
  const DeviceScope scope(out_VE.device.index);
  const std::int64_t first_block = first_element / 128, blocks = (first_element + elements - 1) / 128 - first_block + 1;
  const Expansion expansion{key, first_vector, first_element, vectors, elements, first_block, blocks, out_VE.strides[0], out_VE.strides[1]};
  const auto grid = static_cast<unsigned>(std::min(kMaxBlocks, divide_up(vectors * blocks, kThreads)));
  with_floating(out_VE.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    expand_kernel<T><<<grid, kThreads, 0, native(stream)>>>(expansion, convert<T>(scale), out_VE.as<T>());
  });
  check_launch("sign_expand");
}

}  // namespace panther::cuda
