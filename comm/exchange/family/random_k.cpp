// One element of every 1 / density consecutive ones of a matrix, chosen by a counter that all ranks share (seed, parameter, step), so
// no index travels and the values can be summed: linear, one all_reduce of density d floats (Wangni et al. 2018 and Stich et al. 2018
// with shared randomness; stratified, so groups replace the random permutation).
//
// With error feedback the chosen values are sent as they are: E ||v - C(v)||^2 = (1 - k/d) ||v||^2. Without, they are multiplied by the
// inverse probability: unbiased, variance (d/k - 1) ||g||^2, which ranks do not average out, since they share the choice.
#include "comm/exchange/shared_sample.h"

namespace panther {
namespace {

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const comm::CodecSettings& settings, Allocator& allocator) {
  return comm::make_shared_sample(false, layout, settings, allocator);
}

}  // namespace

void register_random_k(comm::CodecRegistry& registry);
void register_random_k(comm::CodecRegistry& registry) { registry.add("random_k", {make}); }

}  // namespace panther
