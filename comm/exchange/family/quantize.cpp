// b bits per element and one f32 scale per block: level l_i = round(v_i / step), decoded as s l_i.
//
// Nearest levels (the default): s = <v, l> / <l, l>, so ||v - s l||^2 = ||v||^2 (1 - cos^2(v, l)), contractive for every input; on
// normally distributed blocks the relative squared error is Max's (1960): 0.363, 0.190, 0.0469, 0.0129, 0.0037, 0.0011, 3.1e-4, 8.8e-5
// for 1 to 8 bits. Stochastic: unbiased, variance s^2 f (1 - f) per element with s = max |v| / L (QSGD, arXiv 1610.02132, maximum norm).
// Ranks send b/8 + 4/block bytes per element to every other: pays below 32/b ranks. Not linear: every rank decodes all and sums.
#include "comm/exchange/block_quantizer.h"

namespace panther {
namespace {

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const comm::CodecSettings& settings, Allocator& allocator) {
  const QuantizeFormat format{static_cast<int>(settings.bits), settings.block};
  constexpr double kContraction = 0.5;  // of one bit on anything near normal: 0.64
  return comm::make_block_quantizer({.format = format, .stochastic = settings.stochastic, .contraction = kContraction}, layout, settings, allocator);
}

}  // namespace

void register_quantize(comm::CodecRegistry& registry);
void register_quantize(comm::CodecRegistry& registry) { registry.add("quantize", {make}); }

}  // namespace panther
