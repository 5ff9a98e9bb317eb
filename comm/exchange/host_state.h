#pragma once
// State of codecs on its way to and from host memory, wherever it lives. Between steps: waits for the device.
#include "comm/exchange/codec.h"

namespace panther::comm {

void put_state(const StateSink& put, const std::string& name, const TensorView& value);
/// Zeros where the source has nothing of that name; says whether it had.
bool get_state(const StateSource& get, const std::string& name, const TensorView& value);
void set_bytes(const TensorView& value, const void* bytes);
/// The value's bytes.
std::vector<std::byte> host_bytes(const TensorView& value);

}  // namespace panther::comm
