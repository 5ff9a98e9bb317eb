// `nonzeros` entries +-1 in every column, in distinct rows: a short-axis sparse operator, SJLT, OSNAP (Kane, Nelson, 1012.1577; Nelson,
// Nguyen, 1211.1002).
#include <cmath>

#include "kernels/sketch/sparse_operator.h"

namespace panther {

void register_saso(SketchRegistry& registry) {
  registry.add("saso", [](const SketchSpec& spec) {
    const int nonzeros = require_nonzeros(spec, spec.rows);
    const SparsePattern pattern{PatternDraw::distinct, nonzeros, SignKey::of(spec.seed, spec.name, spec.epoch), spec.rows};
    return std::make_unique<SparseOperator>(spec, pattern, false, 1.0 / std::sqrt(static_cast<double>(nonzeros)));
  });
}

}  // namespace panther
