#include "runtime/layers/dropout.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/native_dropout_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/philox.h"

namespace panther::runtime {
namespace {

/// y = x mask scale; keeps the mask, one byte per element.
struct Masked : torch::autograd::Function<Masked> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& mask, double scale) {
    context->save_for_backward({mask});
    context->saved_data["scale"] = scale;
    return at::mul(x, mask).mul_(scale);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const at::Tensor mask = context->get_saved_variables()[0];
    return {at::native_dropout_backward(gradients[0], mask, context->saved_data.at("scale").toDouble()), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

Dropout::Dropout(std::string path, double p) : path_(std::move(path)), p_(p) {
  PANTHER_REQUIRE(p >= 0 && p < 1, "dropout '", path_, "' = ", p, " must be in [0, 1)");
}

at::Tensor Dropout::mask(const at::Tensor& sample_ids, std::int64_t elements, std::uint64_t seed) const {
  const at::Tensor ids = sample_ids.contiguous();
  at::Tensor mask = at::empty({ids.numel(), elements}, at::kByte);
  const std::int64_t* id = ids.const_data_ptr<std::int64_t>();
  std::uint8_t* out = mask.data_ptr<std::uint8_t>();
  const PhiloxKey key = PhiloxKey::from(mix64(seed, hash_name(path_.data(), path_.size())));
  const auto dropped_below = static_cast<std::uint64_t>(std::llround(p_ * 4294967296.0));
  const std::int64_t blocks = (elements + 3) / 4;
  at::parallel_for(0, ids.numel() * blocks, 1 << 12, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t sample = i / blocks, block = i % blocks;
      const auto sample_id = static_cast<std::uint64_t>(id[sample]);
      const PhiloxBlock words = philox({{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(sample_id),
                                         static_cast<std::uint32_t>(sample_id >> 32), static_cast<std::uint32_t>(RandomDomain::dropout)}}, key);
      const std::int64_t count = std::min<std::int64_t>(4, elements - 4 * block);
      for (std::int64_t j = 0; j < count; ++j) out[sample * elements + 4 * block + j] = words.word[j] >= dropped_below ? 1 : 0;
    }
  });
  return mask;
}

at::Tensor Dropout::forward(const at::Tensor& x, const ForwardContext& context) {
  if (p_ == 0 || !is_training() || x.numel() == 0) return x;
  PANTHER_REQUIRE(context.sample_ids.defined() && context.sample_ids.numel() == x.size(0), "dropout '", path_, "' needs one sample id per row of the batch of ",
                  x.size(0));
  // The mask is made on the CPU and copied: one byte per element.
  const at::Tensor kept = mask(context.sample_ids.to(at::kCPU), x.numel() / x.size(0), context.seed).view(x.sizes()).to(at::kBool).to(x.device());
  return Masked::apply(x, kept, 1.0 / (1.0 - p_));
}

void Dropout::describe(const std::string& path, std::vector<LayerFacts>& out) const {
  LayerFacts facts;
  facts.path = path;
  facts.kind = "dropout";
  out.push_back(std::move(facts));
}

}  // namespace panther::runtime
