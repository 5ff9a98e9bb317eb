#include "kernels/pack/alarm.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::cpu {

void take_elements(float* values, const std::uint32_t* indices, std::int64_t k, bool clear, float* out, Stream) {
  for (std::int64_t j = 0; j < k; ++j) {
    out[j] = values[indices[j]];
    if (clear) values[indices[j]] = 0;
  }
}

void put_elements(const float* in, const std::uint32_t* indices, std::int64_t k, bool add, std::int64_t count, float* values, float* alarm, Stream) {
  for (std::int64_t j = 0; j < k; ++j) {
    if (indices[j] >= count) {
      raise_alarm(alarm, kInfinityBits);
      continue;
    }
    values[indices[j]] = add ? values[indices[j]] + in[j] : in[j];
  }
}

}  // namespace panther::cpu
