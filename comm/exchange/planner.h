#pragma once
// Which codec each bucket of a step should take. Pure: facts in, a decision out; measuring is comm/exchange/measure.h's, switching the sender's.
//
// Model of a step (docs/codecs.md, "Planning"): backward ends at `backward_seconds`; bucket i is complete at `ready_seconds` and one thread
// carries the buckets in order, so bucket i starts at max(ready_i, end of bucket i - 1) and takes encode + rounds x latency + bytes / rate +
// decode. What is left after backward is exposed. Where the codecs' arithmetic and the sending take cores that backward uses, they delay backward by as much.
//
// A link that is idle behind backward carries more bits for nothing: of all choices within the error budget whose step is at most (1 + slack) times
// the shortest, the one that loses least is taken, which is the smallest mean of the buckets' errors, each weighted with the gradients that the error concerns.
#include <cstdint>
#include <string>
#include <vector>

#include "comm/export.h"

namespace panther::comm {

/// What a message costs between two ranks.
struct LinkRate {
  double latency_seconds = 0;
  double bytes_per_second = 0;
  double cpu_seconds_per_byte = 0;     ///< that a byte sent takes from computing beside it: copies, the byte received for it, their sum, the system's part
};

/// One codec for one bucket.
struct CodecOption {
  bool admissible = false;
  std::int64_t bytes_sent = 0;   ///< by this rank in a step
  double rounds = 0;             ///< messages that wait for one another
  double codec_seconds = 0;      ///< encode and decode
  double error = 0;              ///< |residual| / |gradient| to expect, or that was measured; 0: nothing waits
};

struct BucketProblem {
  double ready_seconds = 0;            ///< after the start of the step
  std::vector<CodecOption> options = {};    ///< one per candidate
  int current = -1;                    ///< the candidate in use; -1: none yet
  double weight = 1;                   ///< elements that a lossy codec would compress here: the share of this bucket's error in the step's
};

struct StepProblem {
  std::vector<std::string> candidates = {}; ///< names, for people
  std::vector<BucketProblem> buckets = {};  ///< in issue order
  LinkRate link = {};
  double backward_seconds = 0;         ///< from the start of the step to the end of backward
  double contention = 1;               ///< of the computing of codecs and sending before the end of backward, the share that delays it: 1 on a busy CPU, 0 beside a GPU
  double error_budget = 0;             ///< options with a larger error are not taken
  double slack = 0.05;                 ///< of the shortest step, what may be spent on smaller errors
  double hysteresis = 0.1;             ///< the current choice stays unless another makes the step shorter or its error smaller by this share
};

struct StepPrediction {
  double step_seconds = 0;
  double exposed_seconds = 0;
  double error = 0;                    ///< weighted mean of the buckets' errors
  std::int64_t bytes_sent = 0;
  std::vector<double> end_seconds;     ///< by bucket
};

struct StepPlan {
  std::vector<int> choice;             ///< candidate by bucket
  std::vector<std::string> why;        ///< one sentence by bucket
  StepPrediction prediction;
  bool changed = false;                ///< against the current choices
};

PANTHER_COMM_API StepPrediction predict_step(const StepProblem& problem, const std::vector<int>& choice);

/// The choice within the budget that loses least in at most (1 + slack) times the shortest step: coordinate descent from every uniform choice finds the
/// shortest step, then single buckets change while that makes the error smaller and the step stays within the slack, those first that gain most for their
/// time; first candidates first among equals. Throws InvalidArgument when a bucket has no admissible option within the budget, or for sizes, a rate or a
/// budget that make no problem.
PANTHER_COMM_API StepPlan plan_step(const StepProblem& problem);

}  // namespace panther::comm
