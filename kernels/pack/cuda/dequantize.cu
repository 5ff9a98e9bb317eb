#include "kernels/element/quantize.h"
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"

namespace panther::cuda {
namespace {

struct Sources {
  const std::byte* data[kMostQuantizedSources];
  int count;
};

struct Decode {
  Sources sources;
  std::int64_t block_quads, scales;  ///< quads that share a scale; bytes before the codes
  int bits;
  bool add;
  float* out;
  bool aligned;

  /// The four codes of quad q, lowest first; they begin within a byte or in its middle. Behind the last code the memory goes on to a multiple of 64 bytes
  /// or its bytes belong to the last group.
  __device__ std::uint32_t codes(const std::byte* packed, std::int64_t q) const {
    const std::int64_t bit = q * 4 * bits;
    const std::byte* from = packed + scales + bit / 8;
    const int shift = static_cast<int>(bit % 8), bytes = (shift + 4 * bits + 7) / 8;
    if (bits == 8) return *reinterpret_cast<const std::uint32_t*>(from);
    if (bits == 4) return *reinterpret_cast<const std::uint16_t*>(from);
    std::uint32_t word = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i < bytes) word |= static_cast<std::uint32_t>(from[i]) << (8 * i);
    }
    return word >> shift;
  }

  __device__ void operator()(std::int64_t first, std::int64_t count) const {
    const std::int64_t q = first / 4;
    const std::int64_t block = q < (std::int64_t{1} << 32) ? static_cast<std::uint32_t>(q) / static_cast<std::uint32_t>(block_quads) : q / block_quads;
    const std::uint32_t mask = (1u << bits) - 1;
    const float limit = static_cast<float>(quantize_limit(bits));
    Quad sum{};
    if (add) sum = load_quad(out, first, count, aligned);
#pragma unroll 4
    for (int s = 0; s < sources.count; ++s) {
      const float scale = reinterpret_cast<const float*>(sources.data[s])[block];
      const std::uint32_t word = codes(sources.data[s], q);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const auto code = static_cast<float>(word >> (i * bits) & mask);
        const float value = scale * (bits == 1 ? 2 * code - 1 : code - limit);
        sum.at[i] = s == 0 && !add ? value : sum.at[i] + value;
      }
    }
    store_quad(out, first, count, aligned, sum);
  }
};

}  // namespace

void dequantize_sum(const QuantizeFormat& format, std::span<const std::byte* const> sources, std::int64_t count, bool add, float* out, Stream stream) {
  if (sources.empty()) return;
  Decode decode{{}, format.block / 4, quantize_blocks(format, count) * static_cast<std::int64_t>(sizeof(float)), format.bits, add, out, aligned16(out)};
  for (const std::byte* source : sources) decode.sources.data[decode.sources.count++] = source;
  for_quads(decode, count, native(stream), "dequantize_sum");
}

}  // namespace panther::cuda
