#include "comm/exchange/carried_residuals.h"

#include <array>

#include "comm/exchange/host_state.h"

namespace panther::comm {

void CarriedResiduals::add(const CodecMember& member, const TensorView& bucket, const void* residual) {
  const Workspace staging(allocator_, static_cast<std::size_t>(member.numel) * sizeof(float), bucket.device, Stream{});
  const TensorView f32(staging.data(), DType::f32, {member.numel}, bucket.device);
  set_bytes(f32, residual);
  Residual carried{.name = member.name + kResidual, .place = bucket.slice(member.offset, member.numel), .memory = {}, .value = {}};
  carried.memory = std::make_unique<Workspace>(allocator_, static_cast<std::size_t>(carried.place.bytes()), bucket.device, Stream{});
  carried.value = TensorView(carried.memory->data(), bucket.dtype, {member.numel}, bucket.device);
  kernels_.cast(f32, carried.value, {});
  residuals_.push_back(std::move(carried));
}

void CarriedResiduals::add_to(const TensorView& bucket, Stream stream) const {
  const auto* begin = static_cast<const std::byte*>(bucket.data);
  for (const Residual& carried : residuals_) {
    const auto* place = static_cast<const std::byte*>(carried.place.data);
    if (place < begin || place >= begin + bucket.bytes()) continue;
    kernels_.packed_sum(std::array{carried.place, carried.value}, carried.place, stream);
  }
}

void CarriedResiduals::save(const StateSink& put) const {
  for (const Residual& carried : residuals_) {
    const Workspace staging(allocator_, static_cast<std::size_t>(carried.value.numel()) * sizeof(float), carried.value.device, Stream{});
    const TensorView f32(staging.data(), DType::f32, {carried.value.numel()}, carried.value.device);
    kernels_.cast(carried.value, f32, {});
    put_state(put, carried.name, f32);
  }
}

}  // namespace panther::comm
