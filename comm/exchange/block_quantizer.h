#pragma once
// Codec of elements that share a scale by blocks: what `quantize` and `sign` are made of.
#include "comm/exchange/codec.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

struct BlockQuantizerOptions {
  QuantizeFormat format;
  bool stochastic = false;
  double contraction = 0.5;          ///< bounds the residual (comm/exchange/error_feedback.h)
  double momentum = 0;               ///< comm/exchange/gradient_momentum.h
};

std::unique_ptr<Codec> make_block_quantizer(const BlockQuantizerOptions& options, const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator);

}  // namespace panther::comm
