#pragma once
// The one f32 that becomes nan where somebody met nan or inf (kernels/pack/pack_kernels.h).
#include <cstdint>

#include "kernels/element/half.h"

namespace panther {

inline constexpr std::uint32_t kMagnitudeBits = 0x7fffffffu;
inline constexpr std::uint32_t kInfinityBits = 0x7f800000u;
inline constexpr std::uint32_t kQuietNanBits = 0x7fc00000u;

/// `largest`: of the magnitudes' bits, which order as the magnitudes do, nan above all.
PANTHER_HOST_DEVICE inline void raise_alarm(float* alarm, std::uint32_t largest) {
  if (alarm != nullptr && largest >= kInfinityBits) *alarm = float_of(kQuietNanBits);
}

}  // namespace panther
