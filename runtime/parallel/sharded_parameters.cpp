#include "runtime/parallel/sharded_parameters.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "runtime/parallel/parameter_buckets.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

Stream stream_of(const at::Tensor& tensor) { return tensor.is_cuda() ? current_stream(view_of(tensor).device) : Stream{}; }

}  // namespace

ShardedParameters::ShardedParameters(const std::vector<ParameterInfo>& parameters, comm::Collective& collective, const CommConfig& config)
    : collective_(collective), timeout_(timeout_of(config)), parameters_(trained(parameters)),
      plan_(bucket_plan_of(parameters, config, collective.size())), values_(plan_.buckets.size()) {
  const at::NoGradGuard no_grad;
  for (std::size_t b = 0; b < plan_.buckets.size(); ++b) {
    const comm::Bucket& bucket = plan_.buckets[b];
    const std::int64_t count = bucket.numel / collective.size(), mine = count * collective.rank();
    if (bucket.scattered) {
      values_[b] = at::zeros({bucket.numel}, parameters_[static_cast<std::size_t>(bucket.members.front().slot)].tensor.options().requires_grad(false));
    }
    for (const comm::BucketMember& member : bucket.members) {
      const auto slot = static_cast<std::size_t>(member.slot);
      if (!bucket.scattered) {
        whole_.push_back(slot);
        continue;
      }
      at::Tensor parameter = parameters_[slot].tensor;
      const at::Tensor place = values_[b].narrow(0, member.offset, member.numel).view(parameter.sizes());
      place.copy_(parameter);
      parameter.set_data(place);
      const std::int64_t begin = std::max(mine - member.offset, std::int64_t{0}), end = std::min(mine + count - member.offset, member.numel);
      if (begin < end) parts_.push_back({b, slot, member.offset + begin, begin, end - begin, values_[b].narrow(0, member.offset + begin, end - begin)});
    }
  }
  std::sort(whole_.begin(), whole_.end());
  std::sort(parts_.begin(), parts_.end(), [](const Part& a, const Part& b) { return a.parameter < b.parameter; });
  for (const std::size_t slot : whole_) owned_.push_back(parameters_[slot]);
  for (const Part& part : parts_) {
    ParameterInfo info = parameters_[part.parameter];
    info.tensor = part.tensor;
    owned_.push_back(std::move(info));
  }
}

void ShardedParameters::take_gradients(const GradientSync& sync) {
  PANTHER_CHECK(comm::plan_digest(sync.plan()) == comm::plan_digest(plan_), "the gradients travel in other buckets than the parameters are cut along");
  for (Part& part : parts_) part.tensor.mutable_grad() = sync.memory()[part.bucket].narrow(0, part.offset, part.numel);
}

double ShardedParameters::gradient_norm() const {
  std::vector<at::Tensor> everywhere, mine;
  for (const std::size_t slot : whole_) everywhere.push_back(parameters_[slot].tensor.grad().detach());
  for (const Part& part : parts_) mine.push_back(part.tensor.grad());
  at::Tensor sum = at::full({1}, std::pow(norm_of(mine), 2), at::TensorOptions().dtype(at::kDouble).device(parameters_.front().tensor.device()));
  collective_.all_reduce(view_of(sum), comm::ReduceOp::sum, stream_of(sum), deadline()).wait(deadline());
  return std::sqrt(std::pow(norm_of(everywhere), 2) + sum.item<double>());
}

void ShardedParameters::all_gather(const at::Tensor& part, const at::Tensor& whole) const {
  collective_.all_gather(view_of(part), view_of(whole), stream_of(whole), deadline()).wait(deadline());
}

std::int64_t ShardedParameters::gather_parameters() {
  std::int64_t bytes = 0;
  for (const at::Tensor& whole : values_) {
    if (!whole.defined()) continue;
    const std::int64_t count = whole.numel() / collective_.size();
    const at::Tensor part = whole.narrow(0, count * collective_.rank(), count);
    all_gather(part, whole);
    bytes += static_cast<std::int64_t>(part.nbytes()) * (collective_.size() - 1);
  }
  for (const comm::Bucket& bucket : plan_.buckets) {
    if (!bucket.scattered) continue;
    for (const comm::BucketMember& member : bucket.members) parameters_[static_cast<std::size_t>(member.slot)].tensor.unsafeGetTensorImpl()->bump_version();
  }
  return bytes;
}

NamedTensors ShardedParameters::whole_state(Optimizer& optimizer) const {
  std::map<std::string, at::Tensor> own, whole;
  for (auto& [name, tensor] : optimizer.state()) own.emplace(name, tensor);
  for (const std::string& moment : optimizer.moments()) {
    for (std::size_t b = 0; b < plan_.buckets.size(); ++b) {
      if (!values_[b].defined()) continue;
      const std::int64_t count = values_[b].numel() / collective_.size();
      const at::Tensor mine = at::zeros({count}, values_[b].options()), all = at::empty_like(values_[b]);
      for (const Part& part : parts_) {
        if (part.bucket == b) mine.narrow(0, part.offset - count * collective_.rank(), part.numel).copy_(own.at(parameters_[part.parameter].name + "." + moment));
      }
      all_gather(mine, all);
      for (const comm::BucketMember& member : plan_.buckets[b].members) {
        whole[member.name + "." + moment] = all.narrow(0, member.offset, member.numel).view(parameters_[static_cast<std::size_t>(member.slot)].tensor.sizes());
      }
    }
  }
  NamedTensors state;
  for (const ParameterInfo& parameter : parameters_) {
    for (const std::string& moment : optimizer.moments()) {
      const std::string name = parameter.name + "." + moment;
      const auto cut = whole.find(name);
      state.emplace_back(name, cut != whole.end() ? cut->second : own.at(name));
    }
  }
  return state;
}

void ShardedParameters::load_state(const std::map<std::string, at::Tensor>& whole, Optimizer& optimizer) const {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> own;
  for (auto& [name, tensor] : optimizer.state()) own.emplace(name, tensor);
  const auto load = [&](const std::string& name, std::int64_t begin, std::int64_t parameter_numel) {
    const auto stored = whole.find(name);
    PANTHER_REQUIRE(stored != whole.end() && stored->second.numel() == parameter_numel, "the optimizer's '", name, "' is not in the checkpoint with ", parameter_numel,
                    " elements; resume with the [optim] kind and momentum that wrote it");
    at::Tensor& place = own.at(name);
    place.copy_(stored->second.flatten().narrow(0, begin, place.numel()).view(place.sizes()));
  };
  for (const std::string& moment : optimizer.moments()) {
    for (const std::size_t slot : whole_) load(parameters_[slot].name + "." + moment, 0, parameters_[slot].tensor.numel());
    for (const Part& part : parts_) load(parameters_[part.parameter].name + "." + moment, part.begin, parameters_[part.parameter].tensor.numel());
  }
}

}  // namespace panther::runtime
