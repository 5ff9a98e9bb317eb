#include "runtime/train/loop.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "comm/group.h"
#include "core/error.h"
#include "core/log.h"
#include "runtime/parallel/local_steps.h"
#include "runtime/tensor/view_of.h"
#include "runtime/train/reporter.h"
#include "runtime/train/resume.h"
#include "runtime/train/stop_signals.h"

namespace panther::runtime {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

double since(SteadyTime start) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }

/// Ranges of the communication thread in the timeline, one per collective.
std::function<void(const char*, std::int64_t, bool)> communication_trace() {
  return [range = std::make_shared<std::optional<TimelineRange>>(), named = false](const char* name, std::int64_t bucket, bool begin) mutable {
    if (!named) timeline_name_thread("communication");
    named = true;
    if (begin) {
      range->emplace(name, bucket);
    } else {
      range->reset();
    }
  };
}

/// One run of the loop. Outputs (metrics, progress, checkpoints) exist on rank 0 only.
class TrainingLoop {
 public:
  TrainingLoop(Session& session, const RunFolder& folder)
      : session_(session), config_(session.config()), folder_(folder),
        alone_(config_.comm.local.every > 0 ? make_alone(session.world) : nullptr),
        sync_(session.built.parameters, alone_ ? *alone_ : *session.world.collective, config_.comm),
        loader_(session.data.train, loader_options()),
        parts_{*session.built.model, sync_, *session.optimizer, session.built.parameters, session.shards ? &*session.shards : nullptr, session.bf16(), config_.optim.clip,
               static_cast<std::uint64_t>(config_.seed), config_.comm.verify_every, exchange_unit(config_, session.bf16())} {
    sync_.set_trace(communication_trace());
    if (session.shards) session.shards->take_gradients(sync_);
    if (alone_) {
      local_.emplace(session.built.parameters, *session.world.collective, config_.comm, config_.train.steps);
      local_->set_trace(communication_trace());
      resume_local(session, *local_);
    } else {
      resume_exchange(session, sync_);
    }
    if (!session.world.leader()) return;
    writer_.emplace(folder.checkpoints(), config_.checkpoint);
    reporter_.emplace(session, folder.path);
  }

  TrainingOutcome run() {
    outcome_.first_step = session_.step;
    session_.built.model->train();
    warn_of_endless_warm_up();
    if (session_.world.leader() && session_.step >= config_.train.steps) {
      log_warn("nothing is left to train", {{"checkpoint_step", session_.step}, {"steps", config_.train.steps}, {"remedy", concat("raise ", session_.loaded.origin.at("train.steps"))}});
    }
    validate();
    outcome_.first_validation = outcome_.last_validation;
    start_ = std::chrono::steady_clock::now();
    bool stop = false;
    while (session_.step < config_.train.steps && !stop) stop = one_step();
    finish(stop);
    return outcome_;
  }

 private:
  static double exchange_unit(const RunConfig& config, bool bf16) {
    const bool halves = bf16 || config.comm.exchange == "half" || config.comm.exchange == comm::kAutomaticExchange;
    return halves ? 0x1p-8 : config.dtype == "f64" ? 0x1p-53 : 0x1p-24;
  }

  /// Of a rank that takes a step without the others.
  static std::unique_ptr<comm::Collective> make_alone(const World& world) {
    comm::GroupOptions options;
    options.backend = "self";
    options.device = world.device;
    return comm::make_collective(options);
  }

  LoaderOptions loader_options() const {
    return {.seed = static_cast<std::uint64_t>(config_.seed), .global_batch = config_.train.global_batch,
            .accumulate = config_.train.accumulate, .rank = session_.world.rank(), .world_size = session_.world.size(),
            .position = session_.position, .device = session_.built.parameters.front().tensor.device(), .prefetch = config_.data.prefetch};
  }

  /// True when all ranks agreed to stop.
  bool one_step() {
    trace_window();
    const SteadyTime begin = std::chrono::steady_clock::now();
    StepBatch batch = loader_.next();
    const std::int64_t targets = batch.global_targets;
    const double lr = config_.optim.lr * schedule_factor(config_.schedule, session_.step, config_.train.steps);
    const comm::ControlWord wish{.stop = stop_requested(), .checkpoint = take_checkpoint_request(), .nonfinite = false};
    if (local_) {
      local_->before_step(session_.step);
      batch.global_targets = batch.local_targets;
    }
    StepResult result = train_step(parts_, batch, session_.step, lr, local_ ? comm::ControlWord{} : wish);
    ++session_.step;
    session_.position = batch.next_position;
    count_nonfinite(result);
    if (local_) come_together(wish, result);
    update_average(result);
    account(result, targets, since(begin));
    if (reporter_) reporter_->step(result, {.lr = lr, .seconds = since(begin), .targets = targets, .done = session_.step - outcome_.first_step, .training_seconds = outcome_.training_seconds});
    const bool last = session_.step == config_.train.steps;
    if (due(config_.train.eval_every) || last) validate();
    const comm::ControlWord& agreed = result.exchange.control;
    if (due(config_.checkpoint.every) || last || agreed.checkpoint || agreed.stop) save();
    return agreed.stop;
  }

  /// What ranks that train alone have to say to each other after this step, in the place of the step's own exchange.
  void come_together(comm::ControlWord wish, StepResult& result) {
    const SteadyTime begin = std::chrono::steady_clock::now();
    local_->observe(wish, result.loss);
    std::optional<comm::ExchangeReport> report = local_->after_step(session_.step);
    result.exchange = report ? *std::move(report) : comm::ExchangeReport{};
    result.times.exposed_seconds += since(begin);
    if (result.exchange.control.nonfinite && session_.world.leader()) log_warn("the ranks' moves were not put together", {{"step", session_.step}, {"why", "one is not finite"}});
  }

  void update_average(const StepResult& result) {
    if (!session_.average || result.skipped || !due(config_.train.average_every)) return;
    const std::int64_t updates = session_.step / config_.train.average_every - 1;
    if (local_) return session_.average->update(local_->common(), updates);
    std::vector<at::Tensor> values;
    for (const ParameterInfo& parameter : session_.average->parameters()) values.push_back(parameter.tensor.detach());
    session_.average->update(values, updates);
  }

  void warn_of_endless_warm_up() const {
    if (!session_.world.leader() || config_.schedule.warmup_steps < config_.train.steps || session_.step >= config_.train.steps) return;
    log_warn("the run ends before the warm-up does", {{"warmup_steps", config_.schedule.warmup_steps}, {"steps", config_.train.steps},
                                                      {"remedy", concat("shorten ", session_.loaded.origin.at("schedule.warmup_steps"))}});
  }

  bool due(std::int64_t every) const { return every > 0 && session_.step % every == 0; }

  void count_nonfinite(const StepResult& result) {
    if (!result.skipped) {
      nonfinite_in_row_ = 0;
      return;
    }
    ++session_.nonfinite_skipped;
    ++nonfinite_in_row_;
    if (session_.world.leader()) {
      log_warn("step skipped", {{"step", session_.step}, {"why", "loss or gradient is not finite"}, {"loss", result.loss},
                                {"gradient_norm", result.gradient_norm}, {"in_a_row", nonfinite_in_row_},
                                {"ranks", join(result.exchange.nonfinite_ranks)}, {"parameter", result.exchange.nonfinite_parameter}});
    }
    if (nonfinite_in_row_ >= config_.optim.max_nonfinite) {
      fail(ErrorCode::NonFinite, "loss or gradient was not finite in ", nonfinite_in_row_, " steps in a row, up to step ", session_.step,
           "; lower ", session_.loaded.origin.at("optim.lr"), " = ", config_.optim.lr, ", lengthen the warm-up, or set optim.clip. The last "
           "checkpoint is intact");
    }
  }

  void account(const StepResult& result, std::int64_t targets, double step_seconds) {
    if (session_.step == outcome_.first_step + 1) outcome_.first_loss = result.loss;
    outcome_.last_loss = result.loss;
    outcome_.training_seconds += step_seconds;
    outcome_.targets += targets;
    StepTimes& sum = outcome_.mean_times;
    sum.data_seconds += result.times.data_seconds;
    sum.forward_seconds += result.times.forward_seconds;
    sum.backward_seconds += result.times.backward_seconds;
    sum.exposed_seconds += result.times.exposed_seconds;
    sum.optimizer_seconds += result.times.optimizer_seconds;
    outcome_.mean_bytes_sent += static_cast<double>(result.exchange.bytes_sent);
  }

  Evaluation evaluate_now() {
    return evaluate(*session_.built.model, *session_.data.validation, session_.world, config_.train.eval_batches, config_.train.global_batch, session_.bf16());
  }

  /// Ranks that train alone: the parameters they have in common, while the result lives.
  SwappedParameters common_parameters() const {
    return local_ ? SwappedParameters(local_->parameters(), local_->common()) : SwappedParameters();
  }

  void validate() {
    if (!session_.data.validation) return;
    {
      const SwappedParameters common = common_parameters();
      outcome_.last_validation = evaluate_now();
    }
    std::optional<double> average;
    if (session_.average) {
      const SwappedParameters swapped(session_.average->parameters(), session_.average->values());
      average = evaluate_now().loss;
    }
    if (reporter_) reporter_->validation(outcome_.last_validation.loss, average);
  }

  /// All ranks together: where the codec has state, each brings its own.
  void save() {
    const TimelineRange range("checkpoint", session_.step);
    const bool with_exchange = local_.has_value() || !sync_.stateless();
    if (with_exchange) {
      write_exchange_state(folder_.checkpoints(), session_.step, session_.world.rank(), local_ ? local_state(session_, *local_) : sync_.codec_state());
      session_.world.collective->barrier(session_.world.deadline());
    }
    if (!writer_ && !session_.shards) return;
    const SwappedParameters common = common_parameters();
    TrainingState state = session_.state();
    if (!writer_) return;
    state.exchange_ranks = with_exchange ? session_.world.size() : 0;
    writer_->save(state);
    reporter_->checkpoint();
  }

  void trace_window() {
    if (config_.profile.steps <= 0) return;
    const std::int64_t from = outcome_.first_step + config_.profile.start_step;
    if (session_.step == from) timeline_start(session_.world.rank(), config_.profile.nvtx), tracing_ = true;
    if (tracing_ && session_.step == from + config_.profile.steps) stop_trace();
  }

  void stop_trace() {
    tracing_ = false;
    outcome_.traced_events = timeline_stop(folder_.trace(session_.world.rank()));
  }

  void finish(bool stopped) {
    if (tracing_) stop_trace();
    if (writer_) writer_->finish();
    outcome_.wall_seconds = since(start_);
    outcome_.last_step = session_.step;
    outcome_.preempted = stopped && session_.step < config_.train.steps;
    if (reporter_) reporter_->finish(outcome_.preempted, outcome_.last_loss);
    const double steps = static_cast<double>(std::max<std::int64_t>(1, outcome_.last_step - outcome_.first_step));
    StepTimes& mean = outcome_.mean_times;
    for (double* value : {&mean.data_seconds, &mean.forward_seconds, &mean.backward_seconds, &mean.exposed_seconds, &mean.optimizer_seconds}) *value /= steps;
    outcome_.mean_bytes_sent /= steps;
  }

  Session& session_;
  const RunConfig& config_;
  const RunFolder& folder_;
  std::unique_ptr<comm::Collective> alone_;  ///< comm.local: what gradients are summed over
  GradientSync sync_;
  std::optional<LocalSteps> local_;
  Loader loader_;
  StepParts parts_;
  std::optional<CheckpointWriter> writer_;
  std::optional<RunReporter> reporter_;
  TrainingOutcome outcome_;
  SteadyTime start_{};
  std::int64_t nonfinite_in_row_ = 0;
  bool tracing_ = false;
};

}  // namespace

TrainingOutcome run_training(Session& session, const RunFolder& folder) {
  require_same_state(session);
  return TrainingLoop(session, folder).run();
}

}  // namespace panther::runtime
