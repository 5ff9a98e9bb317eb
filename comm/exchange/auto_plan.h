#pragma once
// The facts that comm.exchange = "auto" decides on, gathered step by step, and the decision: rank 0's, taken over by all.
#include <optional>

#include "comm/exchange/auto_settings.h"
#include "comm/exchange/bucket_plan.h"
#include "comm/exchange/learned_errors.h"
#include "comm/exchange/measure.h"

namespace panther::comm {

/// Times of one step on this rank, seconds after its start.
struct StepTimes {
  std::vector<double> ready_seconds;   ///< by bucket
  double backward_seconds = 0;
  double begun_seconds = 0;            ///< when the step started, by the steady clock
};

/// The step before which to plan next. Plans are due before steps 0, first_plan, twice that and so on until a distance would exceed `replan_every`, then at that
/// distance: a run that goes on from a checkpoint plans at the same steps. Pure. `last`: the step of the last plan or of the checkpoint.
PANTHER_COMM_API std::int64_t next_plan(std::optional<std::int64_t> last, const AutoSettings& settings);

/// Share of the shortest step that a plan before step `step` may spend on smaller errors (StepProblem::slack): 1 for `settle` steps, then settle / step,
/// at least 0.05; before step 0, whose budget is small and whose backward nobody knows, 0.05. Early steps change most, and what is late then was computed far
/// from where it is applied. Pure.
PANTHER_COMM_API double slack_at(std::int64_t step, const AutoSettings& settings);

/// What "auto" chooses from, and the candidate of each bucket that it starts with.
struct AutoChoices {
  std::vector<Candidate> candidates;
  std::vector<int> start;
};
/// Pure. Throws InvalidArgument for settings that do not fit the plan.
AutoChoices auto_choices(const BucketPlan& plan, const CodecSettings& settings, const AutoSettings& automatic);

class AutoPlan {
 public:
  /// Collective: measures the link unless the plan is pinned. `plan` and `buckets` as for Exchange. Throws what auto_choices() throws.
  AutoPlan(Collective& collective, const KernelSet& kernels, Allocator& allocator, const BucketPlan& plan, const std::vector<TensorView>& buckets,
           const CodecSettings& settings, const AutoSettings& automatic, Deadline deadline);

  const std::vector<Candidate>& candidates() const noexcept { return choices_.candidates; }
  /// Candidate by bucket to start with.
  const std::vector<int>& start() const noexcept { return choices_.start; }

  void observe(StepTimes times);
  /// What training showed of a bucket's residual under a candidate. It holds for the codec's other ranks or bits in proportion to what was expected of them.
  /// `step`: committed steps before this one. Codecs look every ErrorFeedback::kGuardPeriod steps and repeat their last word in between, which is passed over; so is a
  /// look in the step of a plan, at what the codec before left behind. On rank 0 an error beyond the budget makes wants_plan() true.
  void observe_residual(std::size_t bucket, int candidate, double ratio, std::int64_t step);
  /// This rank would rather not wait for the next plan. All ranks must hear of it, and then call plan_soon() in the same step.
  bool wants_plan() const noexcept { return wants_plan_; }
  void plan_soon() noexcept { soon_ = true; }

  /// Before step `step` (committed steps so far, the same on all ranks).
  bool due(std::int64_t step) const noexcept;
  /// All ranks together: the new choice. `why` and the prediction are rank 0's. The buckets hold what was decoded last: on the CPU, plans after the
  /// first try codecs on it.
  StepPlan decide(std::int64_t step, const std::vector<int>& current, Deadline deadline);
  /// What was learned of errors, and whether a plan is wanted, for checkpoints.
  void save_state(const StateSink& put) const;
  /// Before another run's state is loaded, on all ranks.
  void forget_requests() noexcept { wants_plan_ = soon_ = false; }
  /// A run whose plan came from a checkpoint after `step` steps: knows what was learned then and plans next where the whole run would have.
  void resume(std::int64_t step, const StateSource& get);

  /// The problem as it stands before step `step`.
  StepProblem problem(std::int64_t step, const std::vector<int>& current) const;

 private:
  bool due_by_calendar(std::int64_t step) const noexcept { return step >= next_plan(last_, automatic_); }
  void measure(Deadline deadline);
  void try_codecs(const std::vector<int>& current);
  const std::string& codec_of(int candidate) const { return choices_.candidates[static_cast<std::size_t>(candidate)].codec; }
  void add_options(const BucketPlan& plan);

  Collective& collective_;
  const KernelSet& kernels_;
  Allocator& allocator_;
  AutoSettings automatic_;
  AutoChoices choices_;
  Device device_;
  std::vector<Bucket> plan_;
  std::vector<TensorView> buckets_;
  LinkRate link_;
  std::int64_t link_step_ = 0;                     ///< when link_ was measured
  std::vector<std::vector<CodecOption>> options_;  ///< by bucket and candidate; errors as expected before any step
  std::vector<double> weights_;                    ///< by bucket
  LearnedErrors learned_;
  std::vector<StepTimes> times_;                   ///< of the last steps
  std::optional<std::int64_t> last_;               ///< step of the last plan
  bool wants_plan_ = false, soon_ = false;
};

/// Elements of a bucket that lossy codecs compress: those of matrices that are not spared.
std::int64_t compressible_elements(const CodecLayout& layout, const CodecSettings& settings);

/// The options of one bucket: bytes and rounds of what the codec plans, mean of two steps (powersgd alternates). `seconds_per_element` by candidate.
PANTHER_COMM_API std::vector<CodecOption> options_of(const Bucket& bucket, const std::vector<Candidate>& candidates, const std::vector<double>& seconds_per_element,
                                                     Allocator& allocator, int ranks);

}  // namespace panther::comm
