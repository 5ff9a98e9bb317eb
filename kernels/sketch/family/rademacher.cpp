// Independent signs +-1 (kernels/sketch/signs.h): 32 entries a random word, exact in every dtype.
#include "kernels/sketch/dense_operator.h"

namespace panther {

void register_rademacher(SketchRegistry& registry) {
  registry.add("rademacher", [](const SketchSpec& spec) { return std::make_unique<DenseOperator>(spec, DenseDistribution::signs); });
}

}  // namespace panther
