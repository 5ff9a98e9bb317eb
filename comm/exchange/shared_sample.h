#pragma once
// Codec that sends one element of every 1 / density consecutive ones, chosen by a counter that all ranks share (seed, parameter, step), so no index travels and the
// values can be summed: linear, one all_reduce of density d floats. What `random_k` and `srht` are made of.
#include "comm/exchange/codec.h"

namespace panther::comm {

/// Consecutive elements of which one is sent.
std::int64_t sample_stride(const CodecSettings& settings);
/// Elements that are sent of a gradient.
std::int64_t sample_numel(const CodecMember& member, const CodecSettings& settings);

/// `rotated`: of the coefficients of a random orthogonal transform (kernels/pack/pack_kernels.h) instead of the elements.
std::unique_ptr<Codec> make_shared_sample(bool rotated, const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator);

}  // namespace panther::comm
