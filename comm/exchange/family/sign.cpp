// Signs and a scale: C(v) = ||v||_1 / d sgn(v) over pieces of 65536 elements of a matrix (EF-signSGD, Karimireddy et al. 2019, arXiv
// 1901.09847, algorithm 1). Contractive with delta = ||v||_1^2 / (d ||v||_2^2), 2 / pi on normal values. One bit per element and rank.
// With `momentum`, v is the rank's running mean of gradients plus the residual (Signum with error feedback). `quantize` with one bit differs by its finer scales.
#include "comm/exchange/block_quantizer.h"

namespace panther {
namespace {

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const comm::CodecSettings& settings, Allocator& allocator) {
  constexpr std::int64_t kPiece = 65536;
  return comm::make_block_quantizer({.format = {1, kPiece}, .contraction = 0.5, .momentum = settings.momentum}, layout, settings, allocator);
}

}  // namespace

void register_sign(comm::CodecRegistry& registry);
void register_sign(comm::CodecRegistry& registry) { registry.add("sign", {make}); }

}  // namespace panther
