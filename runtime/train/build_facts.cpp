#include "runtime/train/build_facts.h"

#include <torch/version.h>

#include "core/text.h"
#include "kernels/philox.h"
#include "kernels/sketch/signs.h"
#include "runtime/train/build_constants.h"

namespace panther::runtime {

std::vector<std::pair<std::string, std::string>> build_facts() {
  return {{"panther", kBuildVersion},   {"git", kBuildGit},     {"compiler", kBuildCompiler}, {"build_type", kBuildType},
          {"torch", TORCH_VERSION},     {"cuda", kBuildCuda},   {"backends", kBuildBackends},
          {"sign_generator", concat(kSignGeneratorVersion)}};
}

std::uint64_t build_digest() {
  std::uint64_t digest = 0;
  for (const auto& [key, value] : build_facts()) digest = mix64(digest, hash_name(value.data(), value.size()) + hash_name(key.data(), key.size()));
  return digest;
}

}  // namespace panther::runtime
