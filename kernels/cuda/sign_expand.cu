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
  bool packed;  ///< whole packs of 16 bytes side by side, none of which straddles an end
};

/// Each thread makes one Philox block of signs and notes where its 128 elements go; the whole block then writes them out
/// side by side.
template <class T>
__global__ void expand_kernel(Expansion e, T scale, T* out) {
  __shared__ std::uint32_t words[kThreads][4];
  __shared__ std::int64_t element[kThreads], place[kThreads];
  const std::int64_t pairs = e.vectors * e.blocks;
  for (std::int64_t base = static_cast<std::int64_t>(blockIdx.x) * kThreads; base < pairs; base += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    const std::int64_t pair = base + threadIdx.x;
    if (pair < pairs) {
      const std::int64_t vector = pair / e.blocks, block = e.first_block + pair % e.blocks;
      const PhiloxBlock bits = sign_block(e.key, static_cast<std::uint32_t>(e.first_vector + vector), static_cast<std::uint32_t>(block));
      for (int w = 0; w < 4; ++w) words[threadIdx.x][w] = bits.word[w];
      element[threadIdx.x] = block * 128 - e.first_element;
      place[threadIdx.x] = vector * e.vector_stride + element[threadIdx.x] * e.element_stride;
    }
    __syncthreads();
    const int count = static_cast<int>(pairs - base < kThreads ? pairs - base : kThreads) * 128;
    if (e.packed) {  // 16 bytes at a time
      constexpr int kEach = Pack<T>::kSize;
      for (int i = static_cast<int>(threadIdx.x); i < count / kEach; i += kThreads) {
        const int source = i / (128 / kEach), bit = i % (128 / kEach) * kEach;
        const std::int64_t at = element[source] + bit;
        if (at < 0 || at >= e.elements) continue;
        const std::uint32_t bits = words[source][bit / 32] >> (bit % 32);
        Pack<T> pack;
#pragma unroll
        for (int k = 0; k < kEach; ++k) pack.item[k] = with_sign(scale, (bits >> k) & 1u);
        *reinterpret_cast<Pack<T>*>(out + place[source] + bit) = pack;
      }
      __syncthreads();
      continue;
    }
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
      const int source = i / 128, bit = i % 128;
      const std::int64_t at = element[source] + bit;
      if (at >= 0 && at < e.elements) out[place[source] + bit * e.element_stride] = with_sign(scale, (words[source][bit / 32] >> (bit % 32)) & 1u);
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
  const std::int64_t pack = 16 / static_cast<std::int64_t>(size_of(out_VE.dtype));
  const bool packed = out_VE.strides[1] == 1 && out_VE.strides[0] % pack == 0 && elements % pack == 0 && first_element % pack == 0 && aligned16(out_VE.data);
  const Expansion expansion{key, first_vector, first_element, vectors, elements, first_block, blocks, out_VE.strides[0], out_VE.strides[1], packed};
  const auto grid = static_cast<unsigned>(std::min(kMaxBlocks, divide_up(vectors * blocks, kThreads)));
  with_floating(out_VE.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    expand_kernel<T><<<grid, kThreads, 0, native(stream)>>>(expansion, convert<T>(scale), out_VE.as<T>());
  });
  check_launch("sign_expand");
}

}  // namespace panther::cuda
