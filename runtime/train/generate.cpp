#include "runtime/train/generate.h"

#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>

#include "core/error.h"
#include "kernels/philox.h"

namespace panther::runtime {

namespace {

/// Draws from the softmax of `logits` (V, f64 on the CPU) with a uniform number in (0, 1).
std::int64_t draw(at::Tensor logits, const GenerateOptions& options, float uniform) {
  if (options.temperature == 0) return logits.argmax().item<std::int64_t>();
  logits = logits / options.temperature;
  if (options.top_k > 0 && options.top_k < logits.size(0)) {
    const at::Tensor least = std::get<0>(logits.topk(options.top_k)).min();
    logits = logits.masked_fill(logits < least, -std::numeric_limits<double>::infinity());
  }
  const at::Tensor cumulative = logits.softmax(0).cumsum(0);
  const double target = static_cast<double>(uniform) * cumulative[-1].item<double>();
  return std::min(at::searchsorted(cumulative, target).item<std::int64_t>(), logits.size(0) - 1);
}

}  // namespace

std::string generate(Model& model, const DataShape& shape, const at::Device& device, const GenerateOptions& options) {
  PANTHER_REQUIRE(shape.sequence > 0, "this checkpoint's model takes rows, not text; generate needs a gpt");
  PANTHER_REQUIRE(options.tokens >= 0, "--tokens is ", options.tokens, "; give 0 or more");
  PANTHER_REQUIRE(options.temperature >= 0, "--temperature is ", options.temperature, "; give 0 (greedy) or more");
  PANTHER_REQUIRE(options.top_k >= 0, "--top-k is ", options.top_k, "; give 0 (all tokens) or more");
  const at::NoGradGuard no_grad;
  model.eval();
  std::string text = options.prompt.empty() ? "\n" : options.prompt;
  const std::size_t begin = text.size();
  for (std::int64_t i = 0; i < options.tokens; ++i) {
    const std::size_t context = std::min<std::size_t>(text.size(), static_cast<std::size_t>(shape.sequence));
    at::Tensor tokens = at::empty({1, static_cast<std::int64_t>(context)}, at::kLong);
    for (std::size_t t = 0; t < context; ++t) {
      tokens.data_ptr<std::int64_t>()[t] = static_cast<unsigned char>(text[text.size() - context + t]);
    }
    const at::Tensor logits = model.forward(tokens.to(device), ForwardContext{}).select(1, -1).squeeze(0).to(at::kCPU, at::kDouble);
    const PhiloxBlock random = philox({{static_cast<std::uint32_t>(i), 0, 0, static_cast<std::uint32_t>(RandomDomain::generate)}},
                                      PhiloxKey::from(static_cast<std::uint64_t>(options.seed)));
    text.push_back(static_cast<char>(draw(logits, options, uniform_open(random.word[0]))));
  }
  return text.substr(begin);
}

}  // namespace panther::runtime
