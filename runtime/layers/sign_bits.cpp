#include "runtime/layers/sign_bits.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "core/error.h"

namespace panther::runtime {

at::Tensor pack_signs(const at::Tensor& signs) {
  const at::NoGradGuard no_grad;
  PANTHER_REQUIRE(signs.dim() == 2, "signs form a matrix, got shape ", signs.sizes());
  const at::Tensor values = signs.to(at::kCPU, at::kFloat).contiguous();
  const std::int64_t n = signs.size(1);
  at::Tensor bits = at::zeros({signs.size(0), (n + 7) / 8}, at::kByte);
  const float* from = values.data_ptr<float>();
  std::uint8_t* to = bits.data_ptr<std::uint8_t>();
  for (std::int64_t row = 0; row < signs.size(0); ++row) {
    for (std::int64_t i = 0; i < n; ++i) {
      if (from[row * n + i] < 0) to[row * bits.size(1) + i / 8] |= static_cast<std::uint8_t>(1u << (i % 8));
    }
  }
  return bits;
}

void unpack_signs(const at::Tensor& bits, const at::Tensor& out) {
  const at::NoGradGuard no_grad;
  const std::int64_t n = out.size(1);
  PANTHER_REQUIRE(bits.dim() == 2 && bits.scalar_type() == at::kByte && bits.size(0) == out.size(0) && bits.size(1) == (n + 7) / 8,
                  "sign bits of shape ", bits.sizes(), " do not fit signs of shape ", out.sizes());
  const at::Tensor host = bits.cpu().contiguous();
  at::Tensor values = at::empty(out.sizes(), at::kFloat);
  const std::uint8_t* from = host.data_ptr<std::uint8_t>();
  float* to = values.data_ptr<float>();
  for (std::int64_t row = 0; row < out.size(0); ++row) {
    for (std::int64_t i = 0; i < n; ++i) to[row * n + i] = (from[row * host.size(1) + i / 8] >> (i % 8)) & 1 ? -1.0f : 1.0f;
  }
  out.copy_(values);
}

}  // namespace panther::runtime
