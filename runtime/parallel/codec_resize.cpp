#include "runtime/parallel/codec_resize.h"

#include <ATen/ops/zeros_like.h>

#include "core/error.h"

namespace panther::runtime {

std::map<std::string, at::Tensor> resized_codec_state(const std::vector<std::map<std::string, at::Tensor>>& before, int ranks) {
  PANTHER_REQUIRE(!before.empty() && ranks > 0, "codec state of ", before.size(), " ranks cannot become that of ", ranks);
  std::map<std::string, at::Tensor> sums, result;
  for (const auto& state : before) {
    for (const auto& [name, tensor] : state) {
      if (name.starts_with("own/")) continue;
      if (!name.ends_with("/residual") && !name.ends_with("/momentum")) {
        result.emplace(name, tensor);
        continue;
      }
      at::Tensor& sum = sums[name];
      if (!sum.defined()) sum = at::zeros_like(tensor, at::TensorOptions().dtype(at::kDouble));
      PANTHER_REQUIRE(sum.numel() == tensor.numel(), "the residuals '", name, "' of different ranks have ", sum.numel(), " and ", tensor.numel(), " elements");
      sum += tensor.reshape(sum.sizes());
    }
  }
  for (const auto& [name, sum] : sums) result[name] = (sum / static_cast<double>(ranks)).to(at::kFloat);
  return result;
}

}  // namespace panther::runtime
