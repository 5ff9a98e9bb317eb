#include "kernels/cpu/sign_index.h"

#include <bit>
#include <cstring>

#include "kernels/cpu/sign_bits.h"
#include "kernels/cpu/vectorised.h"

namespace panther::cpu {
namespace {

static_assert(std::endian::native == std::endian::little, "nibbles become bytes in memory order");

/// Each of the 8 nibbles of bits [shift, shift + 32) of `words`, times 8, in a byte of its own.
PANTHER_VECTORISED void spread_nibbles(const std::uint32_t* words, std::uint32_t shift, std::int64_t count, std::uint64_t* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t both = words[i] | static_cast<std::uint64_t>(words[i + 1]) << 32;
    std::uint64_t x = static_cast<std::uint32_t>(both >> shift);
    x = (x | x << 16) & 0x0000ffff0000ffffull;
    x = (x | x << 8) & 0x00ff00ff00ff00ffull;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0full;
    out[i] = x << 3;
  }
}

/// out[bit] = 8 * (bit `bit` of each of four vectors' words), 32 bits a word.
PANTHER_VECTORISED void gather_bits(const std::uint32_t* words, std::int64_t vector_stride, std::int64_t count, std::uint8_t* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t a = words[i], b = words[vector_stride + i], c = words[2 * vector_stride + i], d = words[3 * vector_stride + i];
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
      const std::uint32_t four = ((a >> bit) & 1u) | ((b >> bit) & 1u) << 1 | ((c >> bit) & 1u) << 2 | ((d >> bit) & 1u) << 3;
      out[32 * i + bit] = static_cast<std::uint8_t>(four << 3);
    }
  }
}

SignIndex index_of_elements(const DenseSketch& sketch, const IndexBlock& block, std::uint8_t* memory) {
  constexpr std::int64_t most_words = kIndexStride / 32, most_blocks = most_words / 4 + 2;
  std::uint32_t bits[4 * most_blocks * 4];
  const std::int64_t element = sketch.first_element + block.output, first_word = element / 32, first_block = first_word / 4;
  const std::int64_t words = (element % 32 + (block.outputs + 11) / 12 * 12 + 31) / 32, blocks = (first_word + words - 1) / 4 - first_block + 1;
  for (std::int64_t group = 0; group < (block.depth + 63) / 64 * 16; ++group) {
    sign_bits(sketch.key, sketch.first_vector + block.k + 4 * group, 4, first_block, blocks, bits);
    gather_bits(bits + first_word % 4, 4 * blocks, words, memory + group * kIndexStride);
  }
  return {memory + element % 32, kIndexStride};
}

SignIndex index_of_vectors(const DenseSketch& sketch, const IndexBlock& block, std::uint8_t* memory) {
  constexpr std::int64_t most_blocks = kIndexDepth / 128 + 1, stride = kIndexDepth / 4, at_once = 12;
  static_assert(kIndexOutputs % at_once == 0);
  std::uint32_t bits[at_once * most_blocks * 4 + 1] = {};
  std::uint64_t spread[kIndexDepth / 32];
  const std::int64_t whole = (block.depth + 63) / 64 * 64, element = sketch.first_element + block.k, blocks = (element % 128 + whole + 127) / 128;
  for (std::int64_t v = 0; v < block.outputs; v += at_once) {
    sign_bits(sketch.key, sketch.first_vector + block.output + v, at_once, element / 128, blocks, bits);
    for (std::int64_t i = 0; i < at_once; ++i) {
      spread_nibbles(bits + i * blocks * 4 + element % 128 / 32, static_cast<std::uint32_t>(element % 32), whole / 32, spread);
      std::memcpy(memory + (v + i) * stride, spread, static_cast<std::size_t>(whole / 4));
    }
  }
  return {memory, stride};
}

}  // namespace

SignIndex sign_index(const DenseSketch& sketch, bool lift, const IndexBlock& block, std::uint8_t* memory) {
  return lift ? index_of_elements(sketch, block, memory) : index_of_vectors(sketch, block, memory);
}

}  // namespace panther::cpu
