#pragma once
// What `comm.exchange = "auto"` chooses from: codecs with their settings, under short names ("powersgd-4").
#include <string>
#include <vector>

#include "comm/exchange/auto_settings.h"
#include "comm/exchange/codec.h"

namespace panther::comm {

struct Candidate {
  std::string name;
  std::string codec;        ///< of codec_registry()
  CodecSettings settings;
};

/// none, half, quantize-<bits>, powersgd-<rank>, powersgd-<rank>-alternating, sign, top_k, random_k, srht, count_sketch, row_sparse. What the name does not say
/// comes from `settings`. Throws InvalidArgument for other names, naming the nearest.
PANTHER_COMM_API Candidate candidate_of(const std::string& name, const CodecSettings& settings);
/// The words of a pinned plan, or auto's candidates, which must hold half. Throws InvalidArgument.
PANTHER_COMM_API std::vector<Candidate> candidates_of(const AutoSettings& automatic, const CodecSettings& settings);
/// Where `half` is among them; their number where it is not.
PANTHER_COMM_API std::size_t place_of_half(const std::vector<Candidate>& candidates);

/// |residual| / |gradient| to expect of this codec in training, before it was measured: e / (1 - e) where e is the relative error of one step
/// on normal values (docs/codecs.md) or, for powersgd of rank r, on singular values that fall as 1 / j. 0 for codecs that lose nothing that
/// waits: none, row_sparse, and half, whose rounding (2^-8) is of the order of the gradient's own.
PANTHER_COMM_API double expected_residual(const Candidate& candidate);

}  // namespace panther::comm
