#include "comm/exchange/carried_residuals.h"

#include <array>

namespace panther::comm {

void CarriedResiduals::add(const CodecMember& member, const TensorView& bucket, const void* residual) {
  const TensorView f32(const_cast<void*>(residual), DType::f32, {member.numel});
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
    std::vector<float> residual(static_cast<std::size_t>(carried.value.numel()));
    const TensorView f32(residual.data(), DType::f32, {carried.value.numel()});
    kernels_.cast(carried.value, f32, {});
    put(carried.name, f32);
  }
}

}  // namespace panther::comm
