#include "comm/exchange/host_state.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/device_memory.h"

namespace panther::comm {
namespace {

bool on_host(const TensorView& value) { return value.device.kind == DeviceKind::cpu; }

TensorView host_view(std::vector<std::byte>& bytes, const TensorView& value) {
  TensorView view = value;
  view.data = bytes.data();
  view.device = {};
  return view;
}

}  // namespace

std::vector<std::byte> host_bytes(const TensorView& value) {
  if (on_host(value)) return {value.as<std::byte>(), value.as<std::byte>() + value.bytes()};
  std::vector<std::byte> bytes(static_cast<std::size_t>(value.bytes()));
  device_synchronize();  // whatever stream computed it
  copy_async(bytes.data(), value.data, bytes.size(), {});
  stream_synchronize({});
  return bytes;
}

void set_bytes(const TensorView& value, const void* bytes) {
  const auto size = static_cast<std::size_t>(value.bytes());
  if (on_host(value)) {
    std::memcpy(value.data, bytes, size);
    return;
  }
  device_synchronize();  // whatever stream reads it
  copy_async(value.data, bytes, size, {});
  stream_synchronize({});
}

void put_state(const StateSink& put, const std::string& name, const TensorView& value) {
  if (on_host(value)) return put(name, value);
  std::vector<std::byte> bytes = host_bytes(value);
  put(name, host_view(bytes, value));
}

bool get_state(const StateSource& get, const std::string& name, const TensorView& value) {
  if (on_host(value)) {
    if (get(name, value)) return true;
    std::fill_n(value.as<std::byte>(), value.bytes(), std::byte{0});
    return false;
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(value.bytes()));
  const bool found = get(name, host_view(bytes, value));
  set_bytes(value, bytes.data());  // zeros where nothing was found
  return found;
}

}  // namespace panther::comm
