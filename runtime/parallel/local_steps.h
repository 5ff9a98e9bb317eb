#pragma once
// Data parallelism with fewer messages: ranks train alone and exchange how far their parameters moved.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/exchange/exchange.h"
#include "runtime/export.h"
#include "runtime/parallel/gradient_sync.h"
#include "runtime/parallel/local_schedule.h"

namespace panther::runtime {

/// One per model; training thread only. Each rank steps its own optimizer on its own samples; after `every` steps the mean over ranks of
/// `common - own` is the gradient of a common Nesterov step, from whose result all go on. It travels in buckets with the exchange's codec, residuals
/// and plan, like a gradient.
///
/// A sketched layer's weight is linear in what is trained, so averaging parameters averages weights; that of a factorized layer is not.
class PANTHER_RUNTIME_API LocalSteps {
 public:
  /// All ranks construct it together, with equal parameters: these are the first common ones. The collective must outlive this. Throws what
  /// LocalSchedule and GradientSync throw.
  LocalSteps(std::vector<ParameterInfo> parameters, comm::Collective& collective, const CommConfig& config, std::int64_t total_steps);
  ~LocalSteps();

  /// What this rank wishes and its mean loss at a step; travels with the next exchange.
  void observe(comm::ControlWord wish, double loss);
  /// Before the step that follows `done` ones: a fragment may leave.
  void before_step(std::int64_t done);
  /// After a step: a fragment may arrive, and then everybody's wishes and the sum over ranks of their mean losses. A move that is not finite is not
  /// applied, on any rank; `nonfinite` says so.
  std::optional<comm::ExchangeReport> after_step(std::int64_t done);

  /// Exchange::state_holders().
  int state_holders() const;
  /// The parameters that all ranks have in common, which evaluation and checkpoints take; by slot of parameters().
  const std::vector<at::Tensor>& common() const;
  const std::vector<ParameterInfo>& parameters() const;
  /// Between exchanges: what this rank must find again beside the common parameters. Tensors of their own.
  NamedTensors state() const;
  /// All ranks together, after the common parameters were loaded into the model. `state` as state() gave it, of as many ranks; or empty: own
  /// values are the common ones.
  void load_state(const std::map<std::string, at::Tensor>& state);
  /// Called around each collective, as GradientSync::set_trace().
  void set_trace(const std::function<void(const char*, std::int64_t, bool)>& trace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Which fragment each of the sizes belongs to: neighbours together, fragments of about equal size, none empty. Throws InvalidArgument for more
/// fragments than sizes. Pure.
PANTHER_RUNTIME_API std::vector<std::int64_t> fragments_of(const std::vector<std::int64_t>& sizes, std::int64_t fragments);

/// Parameters hold other values while this lives. Their number and shapes agree. By default, none do.
class PANTHER_RUNTIME_API SwappedParameters {
 public:
  SwappedParameters() = default;
  SwappedParameters(const std::vector<ParameterInfo>& parameters, const std::vector<at::Tensor>& values);
  ~SwappedParameters();
  SwappedParameters(const SwappedParameters&) = delete;
  SwappedParameters& operator=(const SwappedParameters&) = delete;

 private:
  std::vector<std::pair<at::Tensor, at::Tensor>> own_;  ///< parameters and what they held
};

}  // namespace panther::runtime
