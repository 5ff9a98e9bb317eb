// One entry +-1 in every column, its row and sign hashed from the column's number (Charikar, Chen, Farach-Colton 2002; as a subspace
// embedding Clarkson, Woodruff, 1207.6365).
#include "kernels/sketch/sparse_operator.h"

namespace panther {

void register_count_sketch(SketchRegistry& registry) {
  registry.add("count_sketch", [](const SketchSpec& spec) {
    const SparsePattern pattern{PatternDraw::distinct, 1, SignKey::of(spec.seed, spec.name, spec.epoch), spec.rows};
    return std::make_unique<SparseOperator>(spec, pattern, false, 1.0);
  });
}

}  // namespace panther
