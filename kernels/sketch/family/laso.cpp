// `nonzeros` coordinates in every row, uniform with replacement; one drawn m times has the value +-sqrt(m): a long-axis sparse operator,
// LESS-uniform (Derezinski, Lacotte, Pilanci, Mahoney, 2107.07480).
#include <cmath>

#include "kernels/sketch/sparse_operator.h"

namespace panther {

void register_laso(SketchRegistry& registry) {
  registry.add("laso", [](const SketchSpec& spec) {
    const int nonzeros = require_nonzeros(spec, kMaxNonzeros);
    const SparsePattern pattern{PatternDraw::repeated, nonzeros, SignKey::of(spec.seed, spec.name, spec.epoch), spec.columns};
    // A row's squared entries add up to `nonzeros` and stand anywhere in n: E[S^T S] = k nonzeros / n I.
    const double scale = std::sqrt(static_cast<double>(spec.columns) / (static_cast<double>(spec.rows) * nonzeros));
    return std::make_unique<SparseOperator>(spec, pattern, true, scale);
  });
}

}  // namespace panther
