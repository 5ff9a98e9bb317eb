#include "runtime/parallel/gradient_sync.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cstring>

#include "comm/exchange/link_plan.h"
#include "core/error.h"
#include "kernels/philox.h"
#include "runtime/layers/gradient_memory.h"
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
          .settings = config.codec, .automatic = config.automatic};
}

std::chrono::nanoseconds timeout_of(const CommConfig& config) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(config.timeout_seconds));
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

std::vector<comm::GradientSlot> slots_of(const std::vector<ParameterInfo>& parameters) {
  std::vector<comm::GradientSlot> slots;
  for (const ParameterInfo& parameter : parameters) {
    // A matrix to a codec is what is row-major in memory; gradients are strided as their parameters.
    const bool matrix = parameter.tensor.dim() >= 2 && parameter.tensor.numel() > 0 && parameter.tensor.is_contiguous();
    const std::int64_t rows = matrix ? parameter.tensor.size(0) : 0;
    const std::int64_t columns = matrix ? parameter.tensor.numel() / rows : 0;
    slots.push_back({parameter.name, parameter.tensor.numel(), dtype_of(parameter.tensor), kOneTag, rows, columns, kind_of(parameter.tag)});
  }
  return slots;
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

}  // namespace

std::int64_t planned_bytes_sent(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks) {
  const std::vector<ParameterInfo> sent = trained(parameters);
  const comm::ExchangeConfig exchange = exchange_config(config, sent);
  return comm::planned_bytes_sent(comm::plan_buckets(slots_of(sent), comm::bucket_limits(exchange, ranks)), exchange, torch_allocator(), ranks);
}

LinkPlan plan_for_link(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks, double megabits) {
  const std::vector<ParameterInfo> sent = trained(parameters);
  const comm::ExchangeConfig exchange = exchange_config(config, sent);
  const comm::BucketPlan buckets = comm::plan_buckets(slots_of(sent), comm::bucket_limits(exchange, ranks));
  std::vector<std::string> names;
  const comm::StepPlan plan = comm::plan_for_link(buckets, exchange, runtime_kernels(DeviceKind::cpu), torch_allocator(), ranks, comm::assumed_link(megabits), &names);
  LinkPlan result{.codecs = {}, .why = plan.why, .bytes_sent = plan.prediction.bytes_sent, .exchange_seconds = plan.prediction.step_seconds};
  for (const int choice : plan.choice) result.codecs.push_back(names[static_cast<std::size_t>(choice)]);
  return result;
}

namespace {

/// How far a slot's place in its bucket is in a step.
enum class Filled : std::uint8_t { stale, lent, yes };

}  // namespace

struct GradientSync::Impl {
  Impl(std::vector<ParameterInfo> all, comm::Collective& collective, const CommConfig& config);
  ~Impl();

  void begin_step(int backward_passes);
  comm::ExchangeReport finish();
  void accumulated(std::size_t slot);
  at::Tensor take_memory(std::size_t slot);
  NamedTensors codec_state() const;
  void load_codec_state(const std::map<std::string, at::Tensor>& state);

  std::vector<ParameterInfo> parameters;
  comm::BucketPlan plan;
  std::vector<at::Tensor> buckets;
  std::vector<at::Tensor> gradients;       ///< views of the buckets, by slot
  std::vector<int> passes_left;            ///< by slot, in this step
  std::vector<Filled> filled;              ///< by slot, in this step
  Stream last_stream;
  Device device;
  std::unique_ptr<comm::Exchange> exchange;

 private:
  void allocate();
  void require_in_bucket(std::size_t slot) const;
  void move_in(std::size_t slot);
};

namespace {

/// Called by autograd when a backward pass has added a parameter's gradient.
template <class Owner>
class Accumulated final : public GradientOwner {
 public:
  Accumulated(Owner& owner, std::size_t slot) : owner_(owner), slot_(slot) {}
  void operator()(const torch::autograd::Variable&) override { owner_.accumulated(slot_); }
  at::Tensor take_memory() override { return owner_.take_memory(slot_); }

 private:
  Owner& owner_;
  std::size_t slot_;
};

}  // namespace

GradientSync::Impl::Impl(std::vector<ParameterInfo> all, comm::Collective& collective, const CommConfig& config)
    : parameters(trained(std::move(all))), passes_left(parameters.size(), 0), filled(parameters.size(), Filled::yes) {
  const comm::ExchangeConfig exchange_settings = exchange_config(config, parameters);
  plan = comm::plan_buckets(slots_of(parameters), comm::bucket_limits(exchange_settings, collective.size()));
  comm::require_equal_digests(collective,
                              {{"the gradient buckets", comm::plan_digest(plan)},
                               {"comm.exchange", hash_name(config.exchange.data(), config.exchange.size())},
                               {"comm.codec", comm::settings_digest(config.codec)},
                               {"comm.auto", comm::settings_digest(config.automatic)},
                               {"comm.checked", config.checked ? 1u : 0u},
                               {"comm.deterministic", config.deterministic ? 1u : 0u}},
                              comm::Deadline::after(timeout_of(config)));
  allocate();
  std::vector<TensorView> views;
  for (const at::Tensor& bucket : buckets) views.push_back(view_of(bucket));
  if (!views.empty()) device = views.front().device;
  exchange = std::make_unique<comm::Exchange>(collective, runtime_kernels(device.kind), torch_allocator(), plan, std::move(views), exchange_settings,
                                              timeout_of(config));
  for (std::size_t slot = 0; slot < parameters.size(); ++slot) {
    const at::Tensor& parameter = parameters[slot].tensor;
    PANTHER_REQUIRE(torch::autograd::impl::post_acc_grad_hooks(parameter) == nullptr, "parameter '", parameters[slot].name,
                    "' has a gradient hook already; a model has one GradientSync");
  }
  for (std::size_t slot = 0; slot < parameters.size(); ++slot) {
    torch::autograd::impl::set_post_acc_grad_hooks(parameters[slot].tensor, std::make_unique<Accumulated<Impl>>(*this, slot));
    parameters[slot].tensor.mutable_grad() = gradients[slot];
  }
}

GradientSync::Impl::~Impl() {
  for (const ParameterInfo& parameter : parameters) torch::autograd::impl::set_post_acc_grad_hooks(parameter.tensor, nullptr);
  exchange.reset();  // joins its thread before the memory goes
}

void GradientSync::Impl::allocate() {
  const at::NoGradGuard no_grad;
  gradients.resize(parameters.size());
  for (const comm::Bucket& bucket : plan.buckets) {
    const at::TensorOptions options = parameters[static_cast<std::size_t>(bucket.members.front().slot)].tensor.options().requires_grad(false);
    buckets.push_back(at::zeros({bucket.numel}, options));
    for (const comm::BucketMember& member : bucket.members) {
      const auto slot = static_cast<std::size_t>(member.slot);
      const at::Tensor& parameter = parameters[slot].tensor;
      // autograd wants a gradient strided as its parameter where that is dense, and row-major else.
      gradients[slot] = parameter.is_non_overlapping_and_dense()
                            ? buckets.back().as_strided(parameter.sizes(), parameter.strides(), member.offset)
                            : buckets.back().narrow(0, member.offset, member.numel).view(parameter.sizes());
    }
  }
}

void GradientSync::Impl::begin_step(int backward_passes) {
  PANTHER_REQUIRE(backward_passes >= 0, "a step cannot have ", backward_passes, " backward passes");
  exchange->begin(device.kind == DeviceKind::cuda ? current_stream(device) : Stream{});
  // Without a gradient, autograd takes the first one as it is instead of adding it to zeros.
  for (const ParameterInfo& parameter : parameters) parameter.tensor.mutable_grad() = at::Tensor();
  passes_left.assign(parameters.size(), backward_passes);
  filled.assign(parameters.size(), Filled::stale);
}

void GradientSync::Impl::require_in_bucket(std::size_t slot) const {
  const at::Tensor& gradient = parameters[slot].tensor.grad();
  PANTHER_REQUIRE(gradient.defined() && gradient.const_data_ptr() == gradients[slot].const_data_ptr(), "the gradient of '", parameters[slot].name,
                  "' left its bucket during a step, so it would not be summed over ranks. Do not set or reset gradients between begin_step() and "
                  "finish(), and do not build a graph of the backward pass (create_graph)");
}

/// The first gradient of a step, wherever it was computed, comes into its bucket.
void GradientSync::Impl::move_in(std::size_t slot) {
  at::Tensor& gradient = parameters[slot].tensor.mutable_grad();
  const at::NoGradGuard no_grad;
  if (!gradient.defined()) gradients[slot].zero_();
  else if (gradient.const_data_ptr() != gradients[slot].const_data_ptr()) gradients[slot].copy_(gradient);
  gradient = gradients[slot];
  filled[slot] = Filled::yes;
}

at::Tensor GradientSync::Impl::take_memory(std::size_t slot) {
  if (filled[slot] != Filled::stale || passes_left[slot] == 0) return {};
  filled[slot] = Filled::lent;
  // A tensor nobody else holds: autograd then takes it for the gradient without a copy.
  return gradients[slot].alias();
}

void GradientSync::Impl::accumulated(std::size_t slot) {
  PANTHER_REQUIRE(passes_left[slot] > 0, "the gradient of '", parameters[slot].name,
                  "' was computed outside a step or in more backward passes than begin_step() was told of");
  if (filled[slot] != Filled::yes) move_in(slot);
  require_in_bucket(slot);
  if (passes_left[slot] == 1) exchange->mark_ready(static_cast<std::int64_t>(slot));
  --passes_left[slot];
}

comm::ExchangeReport GradientSync::Impl::finish() {
  for (std::size_t slot = 0; slot < parameters.size(); ++slot) {
    if (filled[slot] != Filled::yes) move_in(slot);
    require_in_bucket(slot);
  }
  passes_left.assign(parameters.size(), 0);
  return exchange->finish();
}

NamedTensors GradientSync::Impl::codec_state() const {
  NamedTensors state;
  exchange->save_state([&](const std::string& name, const TensorView& value) {
    const std::vector<std::int64_t> shape(value.shape.begin(), value.shape.begin() + value.dims);
    at::Tensor copy = at::empty(shape, at::TensorOptions().dtype(scalar_type_of(value.dtype)));
    // Codecs with state live on the CPU (comm/exchange/bucket_parts.h); the others save the host's step number alone.
    std::memcpy(copy.data_ptr(), value.data, static_cast<std::size_t>(value.bytes()));
    state.emplace_back(name, std::move(copy));
  });
  return state;
}

void GradientSync::Impl::load_codec_state(const std::map<std::string, at::Tensor>& state) {
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

GradientSync::GradientSync(std::vector<ParameterInfo> parameters, comm::Collective& collective, const CommConfig& config)
    : impl_(std::make_unique<Impl>(std::move(parameters), collective, config)) {}

GradientSync::~GradientSync() = default;

void GradientSync::begin_step(int backward_passes) { impl_->begin_step(backward_passes); }
void GradientSync::set_control(comm::ControlWord control, double loss_sum) { impl_->exchange->set_control(control, loss_sum); }
comm::ExchangeReport GradientSync::finish() { return impl_->finish(); }
std::string GradientSync::reject_step() { return impl_->exchange->reject_step(); }
bool GradientSync::stateless() const { return impl_->exchange->stateless(); }
NamedTensors GradientSync::codec_state() const { return impl_->codec_state(); }
void GradientSync::load_codec_state(const std::map<std::string, at::Tensor>& state) { impl_->load_codec_state(state); }
const comm::BucketPlan& GradientSync::plan() const { return impl_->plan; }
void GradientSync::set_trace(std::function<void(const char*, std::int64_t, bool)> trace) { impl_->exchange->trace = std::move(trace); }

}  // namespace panther::runtime
