#pragma once
// The kinds a linear layer can take. Each family/linear_<kind>.cpp registers one.
#include <memory>

#include "core/registry.h"
#include "runtime/layers/layer.h"

namespace panther::runtime {

struct LinearFactory {
  std::shared_ptr<Linear> (*make)(const LinearOptions&, const SketchSpec&, const BuildContext&);
};
using LinearRegistry = Registry<LinearFactory>;

PANTHER_RUNTIME_API const LinearRegistry& linear_registry();

}  // namespace panther::runtime
