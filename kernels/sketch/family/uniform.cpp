// Independent entries uniform in (-sqrt 3, sqrt 3), variance 1 (kernels/element/uniform.h).
#include "kernels/sketch/dense_operator.h"

namespace panther {

void register_uniform(SketchRegistry& registry) {
  registry.add("uniform", [](const SketchSpec& spec) { return std::make_unique<DenseOperator>(spec, DenseDistribution::uniform); });
}

}  // namespace panther
