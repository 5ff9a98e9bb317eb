#include "runtime/parallel/gradient_sync.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "core/error.h"
#include "runtime/layers/gradient_memory.h"
#include "runtime/parallel/parameter_buckets.h"

namespace panther::runtime {
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

  ParameterBuckets buckets;
  const std::vector<ParameterInfo>& parameters = buckets.parameters;
  const std::vector<at::Tensor>& gradients = buckets.values;
  std::vector<int> passes_left;            ///< by slot, in this step
  std::vector<Filled> filled;              ///< by slot, in this step

 private:
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
    : buckets(std::move(all), collective, config), passes_left(parameters.size(), 0), filled(parameters.size(), Filled::yes) {
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
}

void GradientSync::Impl::begin_step(int backward_passes) {
  PANTHER_REQUIRE(backward_passes >= 0, "a step cannot have ", backward_passes, " backward passes");
  buckets.exchange->begin(buckets.compute_stream());
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
  if (passes_left[slot] == 1) buckets.exchange->mark_ready(static_cast<std::int64_t>(slot));
  --passes_left[slot];
}

comm::ExchangeReport GradientSync::Impl::finish() {
  for (std::size_t slot = 0; slot < parameters.size(); ++slot) {
    if (filled[slot] != Filled::yes) move_in(slot);
    require_in_bucket(slot);
  }
  passes_left.assign(parameters.size(), 0);
  return buckets.exchange->finish();
}

GradientSync::GradientSync(std::vector<ParameterInfo> parameters, comm::Collective& collective, const CommConfig& config)
    : impl_(std::make_unique<Impl>(std::move(parameters), collective, config)) {}

GradientSync::~GradientSync() = default;

void GradientSync::begin_step(int backward_passes) { impl_->begin_step(backward_passes); }
void GradientSync::set_control(comm::ControlWord control, double loss_sum) { impl_->buckets.exchange->set_control(control, loss_sum); }
comm::ExchangeReport GradientSync::finish() { return impl_->finish(); }
std::string GradientSync::reject_step() { return impl_->buckets.exchange->reject_step(); }
int GradientSync::state_holders() const { return impl_->buckets.exchange->state_holders(); }
bool GradientSync::stateless() const { return impl_->buckets.exchange->stateless(); }
NamedTensors GradientSync::codec_state() const { return impl_->buckets.codec_state(); }
void GradientSync::load_codec_state(const std::map<std::string, at::Tensor>& state) { impl_->buckets.load_codec_state(state); }
const comm::BucketPlan& GradientSync::plan() const { return impl_->buckets.plan; }
const std::vector<at::Tensor>& GradientSync::memory() const { return impl_->buckets.memory; }
void GradientSync::set_trace(std::function<void(const char*, std::int64_t, bool)> trace) { impl_->buckets.exchange->trace = std::move(trace); }

}  // namespace panther::runtime
