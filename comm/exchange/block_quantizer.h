#pragma once
// Codec of elements that share a scale by blocks: what `quantize` and `sign` are made of.
#include "comm/exchange/codec.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

/// `contraction` bounds the residual (comm/exchange/error_feedback.h).
std::unique_ptr<Codec> make_block_quantizer(const char* name, const QuantizeFormat& format, bool stochastic, double contraction,
                                            const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator);

}  // namespace panther::comm
