#pragma once
#include <ATen/core/Tensor.h>

#include "runtime/export.h"

namespace panther::runtime {

/// Causal softmax(q k^T / sqrt(d)) v of every head. qkv: (batch, length, 3 * width), its last dimension (3, heads, d); result: (batch, length,
/// width). Keeps qkv, the result and one f32 per row and head. Short f32 sequences on the CPU take kernels/cpu/causal_attention.h, without second
/// derivatives (Unsupported); all else takes torch's scaled_dot_product_attention.
PANTHER_RUNTIME_API at::Tensor causal_attention(const at::Tensor& qkv, std::int64_t heads);

}  // namespace panther::runtime
