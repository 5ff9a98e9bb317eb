#include "comm/exchange/codec.h"

namespace panther {
void register_codec_family(comm::CodecRegistry& registry);  // generated from family/
}

namespace panther::comm {

Codec::~Codec() = default;
void Codec::save_state(const StateSink&) const {}
void Codec::load_state(const StateSource&) {}

const CodecRegistry& codec_registry() {
  static const CodecRegistry registry = [] {
    CodecRegistry result("exchange");
    register_codec_family(result);
    return result;
  }();
  return registry;
}

}  // namespace panther::comm
