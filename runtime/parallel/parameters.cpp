// Whole models across ranks: copying them and comparing them. For start-up and resume.
#include <cstring>

#include "kernels/philox.h"
#include "runtime/parallel/gradient_sync.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

/// Eight bytes at a time; a rest is padded with zeros (its length is in the shape).
std::uint64_t mix_bytes(std::uint64_t digest, const void* data, std::size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  for (; bytes >= 8; bytes -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    digest = mix64(digest, word);
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, at, bytes);
  return mix64(digest, rest);
}

}  // namespace

void broadcast_parameters(const std::vector<ParameterInfo>& parameters, comm::Collective& collective, comm::Deadline deadline) {
  if (collective.size() == 1) return;
  const at::NoGradGuard no_grad;
  for (const ParameterInfo& parameter : parameters) {
    at::Tensor values = parameter.tensor.detach();
    const bool in_place = values.is_contiguous();
    if (!in_place) values = values.contiguous();
    const TensorView view = view_of(values);
    collective.broadcast(view, 0, current_stream(view.device), deadline).wait(deadline);
    if (!in_place) parameter.tensor.detach().copy_(values);
  }
}

std::uint64_t parameter_digest(const std::vector<ParameterInfo>& parameters) {
  const at::NoGradGuard no_grad;
  std::uint64_t digest = parameters.size();
  for (const ParameterInfo& parameter : parameters) {
    digest = mix64(digest, hash_name(parameter.name.data(), parameter.name.size()));
    digest = mix64(digest, static_cast<std::uint64_t>(dtype_of(parameter.tensor)));
    for (const std::int64_t size : parameter.tensor.sizes()) digest = mix64(digest, static_cast<std::uint64_t>(size));
    const at::Tensor values = parameter.tensor.detach().cpu().contiguous();
    digest = mix_bytes(digest, values.const_data_ptr(), values.nbytes());
  }
  return digest;
}

}  // namespace panther::runtime
