#pragma once
// Why a checkpoint's model is not the one that a configuration describes.
#include <string>
#include <string_view>

#include "runtime/export.h"
#include "runtime/train/run_config.h"

namespace panther::runtime {

/// The settings of `model_hash` that differ, one sentence part each: "model.width is 32 there and 64 here". Empty when the stored text cannot be read
/// (another version wrote it) or nothing that it says differs. Pure.
PANTHER_RUNTIME_API std::string model_difference(std::string_view stored_toml, const RunConfig& own);

}  // namespace panther::runtime
