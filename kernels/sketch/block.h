#pragma once
// What every sketch operator requires of its arguments. All throw InvalidArgument naming the operator and the value.
#include "kernels/sketch/operator.h"

namespace panther {

/// The block with its -1 replaced; it must lie within S.
PANTHER_KERNELS_API SketchBlock resolve(const SketchSpec& spec, const SketchBlock& block);

/// Shapes, dtypes (one of f64 f32 bf16) and device of an apply() over a resolved block.
PANTHER_KERNELS_API void require_apply(const SketchSpec& spec, const SketchContext& context, bool transpose, const SketchBlock& block,
                                       const TensorView& a, const TensorView& out);
/// out is floating and of the resolved block's shape.
PANTHER_KERNELS_API void require_materialize(const SketchSpec& spec, const SketchContext& context, const SketchBlock& block, const TensorView& out);

}  // namespace panther
