#pragma once
// One optimizer step: forward and backward over the micro-batches, exchange, clip, update.
#include <cstdint>

#include "comm/exchange/exchange.h"
#include "runtime/data/dataset.h"
#include "runtime/export.h"
#include "runtime/models/model.h"
#include "runtime/optim/optimizer.h"
#include "runtime/parallel/gradient_sync.h"
#include "runtime/parallel/sharded_parameters.h"

namespace panther::runtime {

/// What a step needs; all of it outlives the step.
struct StepParts {
  Model& model;
  GradientSync& sync;
  Optimizer& optimizer;
  const std::vector<ParameterInfo>& parameters;
  ShardedParameters* shards = nullptr;  ///< comm.shard_optimizer: the optimizer has this rank's parts alone
  bool bf16 = false;             ///< autocast
  double clip = 0;
  std::uint64_t seed = 0;
  std::int64_t verify_every = 0; ///< CommConfig::verify_every
  double exchange_unit = 0x1p-24;  ///< roundoff of the coarsest type that gradients pass through
};

struct StepTimes {
  double data_seconds = 0;
  double forward_seconds = 0;
  double backward_seconds = 0;
  double exposed_seconds = 0;    ///< waiting for the exchange after backward
  double optimizer_seconds = 0;  ///< norm, clip and update
  double total() const { return data_seconds + forward_seconds + backward_seconds + exposed_seconds + optimizer_seconds; }
};

struct StepResult {
  double loss = 0;               ///< mean over the global batch's targets, in nats
  double gradient_norm = 0;      ///< before clipping
  bool skipped = false;          ///< non-finite: nothing was updated
  comm::ExchangeReport exchange;
  StepTimes times;
};

/// `control` is this rank's wish; `result.exchange.control` is everybody's. Optimizer state changes only after the checks. Throws Corrupt, on all ranks,
/// when the gradients of a sketched layer do not fit together.
PANTHER_RUNTIME_API StepResult train_step(const StepParts& parts, const StepBatch& batch, std::int64_t step, double lr,
                                          comm::ControlWord control);

}  // namespace panther::runtime
