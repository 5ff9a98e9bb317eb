#pragma once
// A small network with one rank's copy of its parameters, and the batch that ranks share.
#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "comm/group.h"
#include "core/error.h"
#include "runtime/parallel/gradient_sync.h"

namespace panther::runtime::testing {

constexpr std::int64_t kIn = 11, kHidden = 13, kOut = 5;

/// tanh network of two layers with a weight used twice and one parameter that nothing reads.
struct Net {
  explicit Net(at::ScalarType dtype = at::kDouble) {
    const auto generator = at::detail::createCPUGenerator(5);
    const auto make = [&](std::vector<std::int64_t> shape) {
      return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble)).mul(0.5).to(dtype).set_requires_grad(true);
    };
    parameters = {{"in.weight", make({kIn, kHidden})}, {"in.bias", make({kHidden})}, {"shared", make({kHidden, kHidden})},
                  {"unused", make({7})},               {"out.weight", make({kHidden, kOut})}, {"gain", make({})}};
  }
  at::Tensor& operator[](std::size_t i) { return parameters[i].tensor; }

  /// Summed over samples.
  at::Tensor loss(const at::Tensor& x, const at::Tensor& y) {
    at::Tensor h = at::tanh(x.mm((*this)[0]) + (*this)[1]);
    h = at::tanh(h.mm((*this)[2])).mm((*this)[2]);
    return ((h * (*this)[5]).mm((*this)[4]) - y).pow(2).sum();
  }

  std::vector<ParameterInfo> parameters;
};

struct Data {
  explicit Data(std::int64_t samples, at::ScalarType dtype = at::kDouble) {
    const auto generator = at::detail::createCPUGenerator(17);
    x = at::randn({samples, kIn}, generator, at::TensorOptions().dtype(at::kDouble)).to(dtype);
    y = at::randn({samples, kOut}, generator, at::TensorOptions().dtype(at::kDouble)).to(dtype);
  }
  at::Tensor x, y;
};

/// Rank's rows of `samples`: as equal as possible, the first ranks one more.
struct Shard {
  Shard(std::int64_t samples, int rank, int ranks)
      : begin(samples / ranks * rank + std::min<std::int64_t>(rank, samples % ranks)), count(samples / ranks + (rank < samples % ranks ? 1 : 0)) {}
  std::int64_t begin, count;
};

inline CommConfig small_buckets(const std::string& exchange = "none") {
  CommConfig config;
  config.exchange = exchange;
  config.bucket_bytes = 1024;
  config.first_bucket_bytes = 64;
  config.timeout_seconds = 60;
  return config;
}

/// Gradients of the whole batch by torch alone.
inline std::vector<at::Tensor> reference_gradients(Net& net, const Data& data) {
  for (ParameterInfo& parameter : net.parameters) parameter.tensor.mutable_grad() = at::Tensor();
  net.loss(data.x, data.y).backward();
  std::vector<at::Tensor> result;
  for (const ParameterInfo& parameter : net.parameters) {
    result.push_back(parameter.tensor.grad().defined() ? parameter.tensor.grad().clone() : at::zeros_like(parameter.tensor));
  }
  return result;
}

inline double relative_error(const at::Tensor& value, const at::Tensor& reference) {
  const double size = reference.norm().item<double>();
  return (value - reference).norm().item<double>() / (size == 0 ? 1 : size);
}

struct Thrown {
  ErrorCode code = ErrorCode::Internal;
  std::string message = "nothing was thrown";
};

template <class Body>
Thrown catch_error(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.code(), error.message()};
  }
  return {};
}

}  // namespace panther::runtime::testing
