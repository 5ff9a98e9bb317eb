#pragma once
// Causal self-attention of short sequences on the CPU in f32, read from and written to the layouts of the linear layers around it,
// without copies: q, k and v are thirds of one matrix. Half of the scores are masked, and none of those is computed.
#include <cstdint>

#include "kernels/export.h"

namespace panther::cpu {

struct AttentionShape {
  std::int64_t batch = 0;
  std::int64_t length = 0;
  std::int64_t heads = 0;
  std::int64_t head_width = 0;
  std::int64_t width() const { return heads * head_width; }
};

/// Whether this processor and these sizes are served: scratch memory is on the stack, so sequences and heads are bounded.
PANTHER_KERNELS_API bool has_causal_attention(const AttentionShape& shape) noexcept;

/// qkv: (batch, length, 3, heads, head_width); out: (batch, length, heads, head_width); log_sum: (batch, heads, length), the logarithm of
/// every row's sum of exponentials, which backward needs. All contiguous. Scores are scaled by 1 / sqrt(head_width).
PANTHER_KERNELS_API void causal_attention(const AttentionShape& shape, const float* qkv, float* out, float* log_sum);

/// dqkv, laid out as qkv, from the gradient of out. The weights are computed again from log_sum (Dao et al., arXiv 2205.14135, algorithm 4).
PANTHER_KERNELS_API void causal_attention_backward(const AttentionShape& shape, const float* qkv, const float* out, const float* log_sum,
                                                   const float* dout, float* dqkv);

}  // namespace panther::cpu
