#pragma once
// One batch as the model sees it.
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace panther::runtime {

struct Batch {
  at::Tensor inputs;      ///< tokens (B, T) i64, or rows (B, F) f32
  at::Tensor targets;     ///< tokens (B, T) i64, classes (B) i64, or values (B) f32
  at::Tensor sample_ids;  ///< (B) i64 on the CPU: global positions, keys of dropout
  std::int64_t size() const { return inputs.defined() ? inputs.size(0) : 0; }
};

}  // namespace panther::runtime
