#include "comm/exchange/codec.h"

#include <cstring>

#include "comm/exchange/lane.h"

namespace panther {
void register_codec_family(comm::CodecRegistry& registry);  // generated from family/
}

namespace panther::comm {

const void* CodecCall::read_on_host(const TensorView& view) const { return view.device.kind == DeviceKind::cpu ? view.data : lane->read(view); }

void CodecCall::write_from_host(void* from, const TensorView& view) const {
  if (view.bytes() == 0) return;
  if (view.device.kind == DeviceKind::cpu) {
    std::memcpy(view.data, from, static_cast<std::size_t>(view.bytes()));
  } else {
    lane->upload({from, static_cast<std::size_t>(view.bytes())}, view);
  }
}

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
