#pragma once
// What this program was built from: for env.json, doctor and the check that all ranks run the same binary.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/export.h"

namespace panther::runtime {

/// version, compiler, build type, torch, and which backends are built.
PANTHER_RUNTIME_API std::vector<std::pair<std::string, std::string>> build_facts();
/// Hash of the facts.
PANTHER_RUNTIME_API std::uint64_t build_digest();

}  // namespace panther::runtime
