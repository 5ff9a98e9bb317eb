#include "runtime/parallel/local_steps.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "runtime/parallel/parameter_buckets.h"

namespace panther::runtime {
namespace {

std::string fragment_prefix(std::size_t fragment) { return concat("fragment_", fragment, "/"); }

/// What a message of several exchanges said, as one.
void add_report(std::optional<comm::ExchangeReport>& sum, comm::ExchangeReport report) {
  if (!sum) {
    sum = std::move(report);
    return;
  }
  report.control.stop |= sum->control.stop;
  report.control.checkpoint |= sum->control.checkpoint;
  report.control.nonfinite |= sum->control.nonfinite;
  report.bytes_sent += sum->bytes_sent;
  report.bytes_inside += sum->bytes_inside;
  report.bytes_dense_f32 += sum->bytes_dense_f32;
  report.collective_seconds += sum->collective_seconds;
  report.exposed_seconds += sum->exposed_seconds;
  report.collectives += sum->collectives;
  report.buckets.insert(report.buckets.begin(), sum->buckets.begin(), sum->buckets.end());
  report.plan.insert(report.plan.begin(), sum->plan.begin(), sum->plan.end());
  sum = std::move(report);
}

}  // namespace

std::vector<std::int64_t> fragments_of(const std::vector<std::int64_t>& sizes, std::int64_t fragments) {
  const auto count = static_cast<std::int64_t>(sizes.size());
  PANTHER_REQUIRE(fragments >= 1 && fragments <= count, "comm.local.fragments = ", fragments, ": the model has ", count, " trained parameters, one for each fragment at least; choose a smaller number");
  double total = 0;
  for (const std::int64_t size : sizes) total += static_cast<double>(size);
  std::vector<std::int64_t> result;
  double before = 0;
  std::int64_t last = -1;
  for (std::int64_t i = 0; i < count; ++i) {
    const double middle = before + 0.5 * static_cast<double>(sizes[static_cast<std::size_t>(i)]);
    std::int64_t wanted = total > 0 ? static_cast<std::int64_t>(middle / total * static_cast<double>(fragments)) : 0;
    // None is passed over, and enough parameters are left for those that follow.
    wanted = std::min(wanted, last + 1);
    wanted = std::max({wanted, last, std::int64_t{0}, fragments - (count - i)});
    result.push_back(last = wanted);
    before += static_cast<double>(sizes[static_cast<std::size_t>(i)]);
  }
  return result;
}

struct LocalSteps::Impl {
  Impl(std::vector<ParameterInfo> all, comm::Collective& collective, const CommConfig& comm_config, std::int64_t total_steps);

  void leave(std::int64_t fragment);
  comm::ExchangeReport arrive();

  /// Parameters [begin, begin + numbers) of `parameters`, which travel together.
  struct Fragment {
    std::unique_ptr<ParameterBuckets> buckets;
    std::size_t begin = 0;
  };

  LocalConfig config;
  LocalSchedule schedule;
  int ranks;
  std::vector<ParameterInfo> parameters;
  std::vector<at::Tensor> common;          ///< by parameter
  std::vector<at::Tensor> velocity;        ///< by parameter; of the common step
  std::vector<Fragment> fragments;
  std::int64_t travelling = -1;            ///< fragment between leave() and arrive()
  comm::ControlWord wish;
  double losses = 0;                       ///< sum since the last exchange
  std::int64_t observed = 0;               ///< steps in it
  double mean_loss = 0;                    ///< of the steps before the last exchange
};

LocalSteps::Impl::Impl(std::vector<ParameterInfo> all, comm::Collective& collective, const CommConfig& comm_config, std::int64_t total_steps)
    : config(comm_config.local), schedule(config, total_steps), ranks(collective.size()), parameters(trained(std::move(all))) {
  std::vector<std::int64_t> sizes;
  for (const ParameterInfo& parameter : parameters) {
    sizes.push_back(parameter.tensor.numel());
    common.push_back(parameter.tensor.detach().clone());
    velocity.push_back(at::zeros_like(common.back()));
  }
  const std::vector<std::int64_t> fragment = fragments_of(sizes, config.fragments);
  for (std::size_t begin = 0, end = 0; begin < parameters.size(); begin = end) {
    while (end < parameters.size() && fragment[end] == fragment[begin]) ++end;
    const auto first = parameters.begin() + static_cast<std::ptrdiff_t>(begin), last = parameters.begin() + static_cast<std::ptrdiff_t>(end);
    fragments.push_back({std::make_unique<ParameterBuckets>(std::vector<ParameterInfo>(first, last), collective, comm_config), begin});
  }
}

void LocalSteps::Impl::leave(std::int64_t fragment) {
  PANTHER_CHECK(travelling < 0, "fragment ", travelling, " is still travelling");
  travelling = fragment;
  const Fragment& leaving = fragments[static_cast<std::size_t>(fragment)];
  comm::Exchange& exchange = *leaving.buckets->exchange;
  const at::NoGradGuard no_grad;
  exchange.begin(leaving.buckets->compute_stream());
  if (observed > 0) mean_loss = losses / static_cast<double>(observed);
  exchange.set_control(wish, mean_loss);
  wish = {};
  losses = 0;
  observed = 0;
  for (std::size_t i = 0; i < leaving.buckets->values.size(); ++i) {
    at::Tensor value = leaving.buckets->values[i];
    at::sub_out(value, common[leaving.begin + i], parameters[leaving.begin + i].tensor);
    value.div_(ranks);
    exchange.mark_ready(static_cast<std::int64_t>(i));
  }
}

comm::ExchangeReport LocalSteps::Impl::arrive() {
  const Fragment& arriving = fragments[static_cast<std::size_t>(travelling)];
  travelling = -1;
  const at::NoGradGuard no_grad;
  comm::ExchangeReport report = arriving.buckets->exchange->finish();
  report.control.nonfinite |= !std::isfinite(norm_of(arriving.buckets->values));
  if (report.control.nonfinite) {
    arriving.buckets->exchange->reject_step();
    return report;
  }
  for (std::size_t i = 0; i < arriving.buckets->values.size(); ++i) {
    const std::size_t slot = arriving.begin + i;
    const at::Tensor& move = arriving.buckets->values[i];
    at::Tensor own = parameters[slot].tensor;
    velocity[slot].mul_(config.outer_momentum).add_(move);
    common[slot].sub_(move, config.outer_lr).sub_(velocity[slot], config.outer_lr * config.outer_momentum);
    if (config.keep_local > 0) own.mul_(config.keep_local).add_(common[slot], 1 - config.keep_local);
    else own.copy_(common[slot]);
  }
  return report;
}

LocalSteps::LocalSteps(std::vector<ParameterInfo> parameters, comm::Collective& collective, const CommConfig& config, std::int64_t total_steps)
    : impl_(std::make_unique<Impl>(std::move(parameters), collective, config, total_steps)) {}

LocalSteps::~LocalSteps() = default;

void LocalSteps::observe(comm::ControlWord wish, double loss) {
  impl_->wish.stop |= wish.stop;
  impl_->wish.checkpoint |= wish.checkpoint;
  if (!std::isfinite(loss)) return;
  impl_->losses += loss;
  ++impl_->observed;
}

void LocalSteps::before_step(std::int64_t done) {
  if (impl_->config.delay > 0 && impl_->schedule.leaves(done) >= 0) impl_->leave(impl_->schedule.leaves(done));
}

std::optional<comm::ExchangeReport> LocalSteps::after_step(std::int64_t done) {
  const LocalSchedule& schedule = impl_->schedule;
  std::optional<comm::ExchangeReport> result;
  if (impl_->travelling >= 0 && (schedule.arrives(done) == impl_->travelling || schedule.all(done))) add_report(result, impl_->arrive());
  if (impl_->config.delay == 0 && schedule.leaves(done) >= 0) {
    impl_->leave(schedule.leaves(done));
    add_report(result, impl_->arrive());
  }
  for (std::size_t fragment = 0; schedule.all(done) && fragment < impl_->fragments.size(); ++fragment) {
    impl_->leave(static_cast<std::int64_t>(fragment));
    add_report(result, impl_->arrive());
  }
  return result;
}

int LocalSteps::state_holders() const { return impl_->fragments.front().buckets->exchange->state_holders(); }
const std::vector<at::Tensor>& LocalSteps::common() const { return impl_->common; }
const std::vector<ParameterInfo>& LocalSteps::parameters() const { return impl_->parameters; }

NamedTensors LocalSteps::state() const {
  NamedTensors state;
  for (std::size_t slot = 0; slot < impl_->parameters.size(); ++slot) {
    state.emplace_back("own/" + impl_->parameters[slot].name, impl_->parameters[slot].tensor.detach().cpu().clone());
    state.emplace_back("velocity/" + impl_->parameters[slot].name, impl_->velocity[slot].cpu().clone());
  }
  for (std::size_t fragment = 0; fragment < impl_->fragments.size(); ++fragment) {
    for (auto& [name, tensor] : impl_->fragments[fragment].buckets->codec_state()) state.emplace_back(fragment_prefix(fragment) + name, std::move(tensor));
  }
  return state;
}

void LocalSteps::load_state(const std::map<std::string, at::Tensor>& state) {
  const at::NoGradGuard no_grad;
  for (std::size_t slot = 0; slot < impl_->parameters.size(); ++slot) {
    at::Tensor parameter = impl_->parameters[slot].tensor;
    impl_->common[slot].copy_(parameter);
    if (const auto own = state.find("own/" + impl_->parameters[slot].name); own != state.end()) parameter.copy_(own->second);
    if (const auto velocity = state.find("velocity/" + impl_->parameters[slot].name); velocity != state.end()) impl_->velocity[slot].copy_(velocity->second);
  }
  for (std::size_t fragment = 0; fragment < impl_->fragments.size(); ++fragment) {
    const std::string prefix = fragment_prefix(fragment);
    std::map<std::string, at::Tensor> own;
    for (const auto& [name, tensor] : state) {
      if (name.starts_with(prefix)) own.emplace(name.substr(prefix.size()), tensor);
    }
    impl_->fragments[fragment].buckets->load_codec_state(own);
  }
}

void LocalSteps::set_trace(const std::function<void(const char*, std::int64_t, bool)>& trace) {
  for (const Impl::Fragment& fragment : impl_->fragments) fragment.buckets->exchange->trace = trace;
}

SwappedParameters::SwappedParameters(const std::vector<ParameterInfo>& parameters, const std::vector<at::Tensor>& values) {
  PANTHER_CHECK(parameters.size() == values.size(), parameters.size(), " parameters, ", values.size(), " values");
  const at::NoGradGuard no_grad;
  for (std::size_t slot = 0; slot < parameters.size(); ++slot) {
    own_.emplace_back(parameters[slot].tensor, parameters[slot].tensor.detach().clone());
    own_.back().first.copy_(values[slot]);
  }
}

SwappedParameters::~SwappedParameters() {
  const at::NoGradGuard no_grad;
  for (auto& [parameter, value] : own_) parameter.copy_(value);
}

}  // namespace panther::runtime
