#pragma once
// Validation loss over a fixed set of samples, shared among the ranks.
#include <cstdint>

#include "runtime/data/dataset.h"
#include "runtime/export.h"
#include "runtime/models/model.h"
#include "runtime/train/world.h"

namespace panther::runtime {

struct Evaluation {
  double loss = 0;               ///< mean per target, nats
  std::int64_t targets = 0;
  double seconds = 0;
};

/// The first `batches` x `batch_size` samples of the data set in a fixed pseudo-random order (all of it when that is less).
/// The result does not depend on the number of ranks beyond rounding.
PANTHER_RUNTIME_API Evaluation evaluate(Model& model, const Dataset& dataset, World& world, std::int64_t batches, std::int64_t batch_size,
                                        bool bf16);

}  // namespace panther::runtime
