#include "runtime/parallel/parameter_buckets.h"

#include <algorithm>
#include <cstring>

#include "comm/exchange/link_plan.h"
#include "comm/gather_integers.h"
#include "core/error.h"
#include "kernels/philox.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

comm::ExchangeConfig exchange_config(const CommConfig& config, const std::vector<ParameterInfo>& parameters) {
  std::int64_t total_bytes = 0;
  for (const ParameterInfo& parameter : parameters) total_bytes += static_cast<std::int64_t>(parameter.tensor.nbytes());
  const comm::BucketLimits automatic = comm::automatic_limits(total_bytes);
  const std::int64_t bucket = config.bucket_bytes > 0 ? config.bucket_bytes : automatic.bucket_bytes;
  const std::int64_t first = config.first_bucket_bytes > 0 ? config.first_bucket_bytes : std::max<std::int64_t>(1, bucket / 2);
  // Whoever sets a size gets that size.
  const std::int64_t last = config.bucket_bytes > 0 ? 0 : automatic.last_bytes;
  return {.codec = config.exchange, .bucket_bytes = bucket, .first_bucket_bytes = first, .last_bucket_bytes = last, .checked = config.checked,
          .settings = config.codec, .automatic = config.automatic, .nodes = {}, .inner_half = config.hierarchy.inner == "half"};
}

/// Codecs tell gradients apart by shape and kind: one tag, so that sketched and dense gradients share messages.
constexpr int kOneTag = 0;

comm::GradientKind kind_of(GradientTag tag) {
  switch (tag) {
    case GradientTag::sketched_exact: return comm::GradientKind::sketched;
    case GradientTag::row_sparse: return comm::GradientKind::embedding;
    case GradientTag::dense: break;
  }
  return comm::GradientKind::dense;
}

/// Matrices that a rank may own a part of; the factors of sketched layers are small.
bool is_scattered(const ParameterInfo& parameter, bool matrix) { return matrix && parameter.tag != GradientTag::sketched_exact; }

std::vector<comm::GradientSlot> slots_of(const std::vector<ParameterInfo>& parameters, bool scatter) {
  std::vector<comm::GradientSlot> slots;
  for (const ParameterInfo& parameter : parameters) {
    // A matrix to a codec is what is row-major in memory; gradients are strided as their parameters.
    const bool matrix = parameter.tensor.dim() >= 2 && parameter.tensor.numel() > 0 && parameter.tensor.is_contiguous();
    const std::int64_t rows = matrix ? parameter.tensor.size(0) : 0;
    const std::int64_t columns = matrix ? parameter.tensor.numel() / rows : 0;
    slots.push_back({parameter.name, parameter.tensor.numel(), dtype_of(parameter.tensor), kOneTag, rows, columns, kind_of(parameter.tag), scatter && is_scattered(parameter, matrix)});
  }
  return slots;
}

/// Nodes by rank. All ranks together.
std::vector<int> nodes_among(comm::Collective& collective, const CommConfig& config) {
  if (config.hierarchy.mode == "off" || collective.size() == 1) return {};
  const std::int64_t own[] = {comm::host_number()};
  return comm::nodes_of(config.hierarchy, comm::gather_integers(collective, own, {}, comm::Deadline::after(timeout_of(config))));
}

}  // namespace

std::chrono::nanoseconds timeout_of(const CommConfig& config) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(config.timeout_seconds));
}

std::vector<ParameterInfo> trained(std::vector<ParameterInfo> parameters) {
  std::erase_if(parameters, [](const ParameterInfo& parameter) { return !parameter.tensor.requires_grad(); });
  for (const ParameterInfo& parameter : parameters) {
    PANTHER_REQUIRE(parameter.tensor.is_leaf(), "parameter '", parameter.name, "' is computed from others; only leaves have gradients to sum");
    PANTHER_REQUIRE(parameter.tensor.device() == parameters.front().tensor.device(), "parameter '", parameter.name, "' is on ",
                    parameter.tensor.device().str(), ", '", parameters.front().name, "' on ", parameters.front().tensor.device().str(),
                    "; a model lives on one device");
  }
  return parameters;
}

comm::BucketPlan bucket_plan_of(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks) {
  const std::vector<ParameterInfo> sent = trained(parameters);
  return comm::plan_buckets(slots_of(sent, config.shard_optimizer && ranks > 1), comm::bucket_limits(exchange_config(config, sent), ranks));
}

std::int64_t planned_bytes_sent(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks) {
  const comm::BucketPlan plan = bucket_plan_of(parameters, config, ranks);
  comm::ExchangeConfig settings = exchange_config(config, trained(parameters));
  // A plan knows no hosts: what is set, it counts.
  if (config.hierarchy.mode == "set") settings.nodes = comm::nodes_of(config.hierarchy, std::vector<std::int64_t>(static_cast<std::size_t>(ranks), 0));
  std::int64_t bytes = comm::planned_bytes_sent(plan, settings, torch_allocator(), ranks);
  // The parameters that were updated come back.
  for (const comm::Bucket& bucket : plan.buckets) {
    if (bucket.scattered) bytes += bucket.numel / ranks * static_cast<std::int64_t>(size_of(bucket.dtype)) * (ranks - 1);
  }
  return bytes;
}

std::int64_t optimizer_elements(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks) {
  std::int64_t elements = 0;
  for (const comm::Bucket& bucket : bucket_plan_of(parameters, config, ranks).buckets) {
    std::int64_t members = 0;
    for (const comm::BucketMember& member : bucket.members) members += member.numel;
    elements += bucket.scattered ? bucket.numel / ranks : members;
  }
  return elements;
}

LinkPlan plan_for_link(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks, double megabits) {
  const std::vector<ParameterInfo> sent = trained(parameters);
  const comm::ExchangeConfig exchange = exchange_config(config, sent);
  const comm::BucketPlan buckets = bucket_plan_of(parameters, config, ranks);
  std::vector<std::string> names;
  const comm::StepPlan plan = comm::plan_for_link(buckets, exchange, runtime_kernels(DeviceKind::cpu), torch_allocator(), ranks, comm::assumed_link(megabits), &names);
  LinkPlan result{.codecs = {}, .why = plan.why, .bytes_sent = plan.prediction.bytes_sent, .exchange_seconds = plan.prediction.step_seconds};
  for (const int choice : plan.choice) result.codecs.push_back(names[static_cast<std::size_t>(choice)]);
  return result;
}

ParameterBuckets::ParameterBuckets(std::vector<ParameterInfo> all, comm::Collective& collective, const CommConfig& config) : parameters(trained(std::move(all))) {
  comm::ExchangeConfig settings = exchange_config(config, parameters);
  settings.nodes = nodes_among(collective, config);
  plan = bucket_plan_of(parameters, config, collective.size());
  comm::require_equal_digests(collective,
                              {{"the gradient buckets", comm::plan_digest(plan)},
                               {"comm.exchange", hash_name(config.exchange.data(), config.exchange.size())},
                               {"comm.codec", comm::settings_digest(config.codec)},
                               {"comm.auto", comm::settings_digest(config.automatic)},
                               {"comm.hierarchy", comm::settings_digest(config.hierarchy)},
                               {"comm.checked", config.checked ? 1u : 0u},
                               {"comm.deterministic", config.deterministic ? 1u : 0u}},
                              comm::Deadline::after(timeout_of(config)));
  allocate();
  std::vector<TensorView> views;
  for (const at::Tensor& bucket : memory) views.push_back(view_of(bucket));
  if (!views.empty()) device = views.front().device;
  exchange = std::make_unique<comm::Exchange>(collective, runtime_kernels(device.kind), torch_allocator(), plan, std::move(views), settings, timeout_of(config));
}

void ParameterBuckets::allocate() {
  const at::NoGradGuard no_grad;
  values.resize(parameters.size());
  for (const comm::Bucket& bucket : plan.buckets) {
    const at::TensorOptions options = parameters[static_cast<std::size_t>(bucket.members.front().slot)].tensor.options().requires_grad(false);
    memory.push_back(at::zeros({bucket.numel}, options));
    for (const comm::BucketMember& member : bucket.members) {
      const auto slot = static_cast<std::size_t>(member.slot);
      const at::Tensor& parameter = parameters[slot].tensor;
      // autograd wants a gradient strided as its parameter where that is dense, and row-major else.
      values[slot] = parameter.is_non_overlapping_and_dense()
                            ? memory.back().as_strided(parameter.sizes(), parameter.strides(), member.offset)
                            : memory.back().narrow(0, member.offset, member.numel).view(parameter.sizes());
    }
  }
}

Stream ParameterBuckets::compute_stream() const { return device.kind == DeviceKind::cuda ? current_stream(device) : Stream{}; }

NamedTensors ParameterBuckets::codec_state() const {
  NamedTensors state;
  exchange->save_state([&](const std::string& name, const TensorView& value) {
    const std::vector<std::int64_t> shape(value.shape.begin(), value.shape.begin() + value.dims);
    at::Tensor copy = at::empty(shape, at::TensorOptions().dtype(scalar_type_of(value.dtype)));
    // An exchange gives and takes host memory, wherever its codecs live.
    std::memcpy(copy.data_ptr(), value.data, static_cast<std::size_t>(value.bytes()));
    state.emplace_back(name, std::move(copy));
  });
  return state;
}

void ParameterBuckets::load_codec_state(const std::map<std::string, at::Tensor>& state) {
  exchange->load_state([&](const std::string& name, const TensorView& value) {
    const auto found = state.find(name);
    if (found == state.end()) return false;
    const at::Tensor& stored = found->second;
    PANTHER_REQUIRE(dtype_of(stored) == value.dtype && stored.numel() == value.numel(), "the codec's state '", name, "' is ", stored.numel(), " ",
                    dtype_name(dtype_of(stored)), " in the checkpoint and ", value.numel(), " ", dtype_name(value.dtype),
                    " here; resume with the [comm.codec] settings that wrote it");
    std::memcpy(value.data, stored.const_data_ptr(), static_cast<std::size_t>(value.bytes()));
    return true;
  });
}

}  // namespace panther::runtime
