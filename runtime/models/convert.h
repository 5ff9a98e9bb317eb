#pragma once
// A model's start values from a dense checkpoint.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "runtime/models/model.h"

namespace panther::runtime {

struct ConversionReport {
  std::vector<std::string> copied;   ///< parameters taken over as they are
  std::vector<std::string> fitted;   ///< linear layers whose form was fitted to a dense matrix
  std::vector<std::string> imported; ///< linear layers that took over the predecessor's terms
  std::vector<std::string> scratch;   ///< linear layers that keep their random start (init = scratch)
  std::vector<std::string> unused;   ///< given tensors that no parameter asked for
};

/// Dense linear layers and all other parameters are copied by name; sketched and factorized layers at path P are set from
/// "P.weight" (O x D) and "P.bias" by their spec's init; for init = imported from "P.S1s", "P.S2s", "P.U1s", "P.U2s"
/// (layers/convert.h). Throws InvalidArgument listing every missing or misshapen name; then nothing was changed.
PANTHER_RUNTIME_API ConversionReport initialise_from_dense(Model& model, const std::vector<std::pair<std::string, at::Tensor>>& dense);

/// The same from a safetensors file, or a checkpoint folder that holds model.safetensors.
PANTHER_RUNTIME_API ConversionReport initialise_from_file(Model& model, const std::filesystem::path& path);

}  // namespace panther::runtime
