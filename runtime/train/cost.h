#pragma once
// What a model costs, from the facts of its layers. Pure.
#include <cstdint>
#include <vector>

#include "runtime/export.h"
#include "runtime/layers/layer.h"

namespace panther::runtime {

struct ModelCost {
  std::int64_t parameters = 0;             ///< trained
  std::int64_t dense_parameters = 0;       ///< trained by the dense twin
  double step_flops_per_row = 0;           ///< forward and backward
  double dense_step_flops_per_row = 0;     ///< of the dense twin (backward counted as twice forward)
  std::int64_t saved_bytes_per_row = 0;
};

PANTHER_RUNTIME_API ModelCost cost_of(const std::vector<LayerFacts>& layers);

/// Memory of one rank in bytes: parameters, gradients, optimizer state, saved activations.
struct MemoryEstimate {
  std::int64_t parameters = 0;
  std::int64_t gradients = 0;
  std::int64_t optimizer = 0;
  std::int64_t activations = 0;
  std::int64_t total() const { return parameters + gradients + optimizer + activations; }
};

/// `rows` = tokens (or rows) of one micro-batch; `optimizer_elements` = elements of the optimizer's state that this rank keeps; `element_bytes` of the parameters.
PANTHER_RUNTIME_API MemoryEstimate estimate_memory(const ModelCost& cost, std::int64_t rows, std::int64_t optimizer_elements, int element_bytes);

}  // namespace panther::runtime
