#pragma once
// Sign bits regrouped into table indices: for every output, one byte per four depth elements.
#include <cstdint>

#include "kernels/sketch/dense_kernels.h"

namespace panther::cpu {

inline constexpr std::int64_t kIndexOutputs = 252, kIndexDepth = 512;
/// A lifted index begins up to 31 outputs before the first one asked for, on a whole word of bits.
inline constexpr std::int64_t kIndexStride = (kIndexOutputs + 31 + 31) / 32 * 32, kIndexBytes = kIndexStride * kIndexDepth / 4;

/// Bytes are 8 * (the four sign bits, bit i of depth element i of the group): at bytes[output * stride + group] when vectors are the
/// outputs, at bytes[group * stride + output] when elements are (lift).
struct SignIndex {
  const std::uint8_t* bytes;
  std::int64_t stride;
};

/// A block of the product's sign matrix, relative to the window: at most kIndexOutputs outputs, at most kIndexDepth depth elements.
struct IndexBlock {
  std::int64_t output, outputs, k, depth;
};

/// Outputs are rounded up to a multiple of 12 and the depth to one of 64; what lies past the block are valid bytes of no meaning.
/// `memory` holds kIndexBytes.
SignIndex sign_index(const DenseSketch& sketch, bool lift, const IndexBlock& block, std::uint8_t* memory);

}  // namespace panther::cpu
