#include "runtime/train/cost.h"

namespace panther::runtime {

ModelCost cost_of(const std::vector<LayerFacts>& layers) {
  ModelCost cost;
  for (const LayerFacts& layer : layers) {
    cost.parameters += layer.parameters;
    cost.dense_parameters += layer.dense_parameters;
    cost.step_flops_per_row += layer.forward_flops_per_row + layer.backward_flops_per_row;
    cost.dense_step_flops_per_row += 3 * layer.dense_forward_flops_per_row;
    cost.saved_bytes_per_row += layer.saved_bytes_per_row;
  }
  return cost;
}

MemoryEstimate estimate_memory(const ModelCost& cost, std::int64_t rows, std::int64_t optimizer_elements, int element_bytes) {
  return {.parameters = cost.parameters * element_bytes,
          .gradients = cost.parameters * element_bytes,
          .optimizer = optimizer_elements * element_bytes,
          .activations = cost.saved_bytes_per_row * rows};
}

}  // namespace panther::runtime
