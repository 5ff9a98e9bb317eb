// Independent N(0, 1) entries (kernels/element/gaussian.h), one random word each.
#include "kernels/sketch/dense_operator.h"

namespace panther {

void register_gaussian(SketchRegistry& registry) {
  registry.add("gaussian", [](const SketchSpec& spec) { return std::make_unique<DenseOperator>(spec, DenseDistribution::gaussian); });
}

}  // namespace panther
