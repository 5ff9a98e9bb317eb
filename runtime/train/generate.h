#pragma once
// Sampling text from a token model.
#include <cstdint>
#include <string>

#include "runtime/data/shape.h"
#include "runtime/export.h"
#include "runtime/models/model.h"

namespace panther::runtime {

struct GenerateOptions {
  std::string prompt = "\n";
  std::int64_t tokens = 256;
  double temperature = 0.8;      ///< 0 = always the likeliest
  std::int64_t top_k = 40;       ///< 0 = all
  std::int64_t seed = 1;
};

/// The continuation of the prompt, bytes as tokens. The same seed gives the same text. Throws InvalidArgument for options out of range.
PANTHER_RUNTIME_API std::string generate(Model& model, const DataShape& shape, const at::Device& device, const GenerateOptions& options);

}  // namespace panther::runtime
