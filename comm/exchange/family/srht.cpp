// A subsampled randomized Hadamard transform that all ranks share: signs, an orthonormal transform of pieces, then one coefficient of every 1 / density
// consecutive ones, all by counters (seed, parameter, step). Linear: one all_reduce of density d floats and no index (Ailon, Chazelle 2009; as a
// gradient compressor e.g. Ivkin et al. 2019). As good as `random_k` on average and on every gradient alike: the transform spreads what is
// concentrated in few elements, which `random_k` finds or misses.
//
// With error feedback the coefficients are sent as they are, an orthogonal projection: E ||v - C(v)||^2 = (1 - k/d) ||v||^2. Without, they are multiplied by
// the inverse probability: unbiased, variance (d/k - 1) ||g||^2, which ranks do not average out, since they share the choice.
#include "comm/exchange/shared_sample.h"

namespace panther {
namespace {

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const comm::CodecSettings& settings, Allocator& allocator) {
  return comm::make_shared_sample(true, layout, settings, allocator);
}

}  // namespace

void register_srht(comm::CodecRegistry& registry);
void register_srht(comm::CodecRegistry& registry) { registry.add("srht", {make}); }

}  // namespace panther
