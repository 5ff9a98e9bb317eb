#pragma once
// Which form a linear layer takes, and the policy that maps module paths to it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/config_file.h"
#include "core/fields.h"
#include "runtime/export.h"

namespace panther::runtime {

/// One `[[sketch]]` table: layers whose path matches take this form; the last match wins.
struct PANTHER_RUNTIME_API SketchRule {
  std::string match;                ///< glob over module paths, "blocks.*.mlp.*"
  std::string kind = "sketched";    ///< dense | sketched | factorized (a member of the linear family)
  std::int64_t sketch_size = 16;    ///< R; for factorized the inner width
  std::string init = "scratch";     ///< scratch | fitted | unbiased | imported, see SketchSpec
  void fields(FieldVisitor& v);
};

/// The resolved form of one linear layer.
struct SketchSpec {
  std::string kind = "dense";
  std::int64_t sketch_size = 0;
  /// scratch: random. fitted, unbiased: random, to be replaced by `initialise_from_dense`. imported: the signs come from
  /// elsewhere and are stored with the weights, one bit each.
  std::string init = "scratch";
  double alpha = 0;                 ///< 1 / (2 sqrt(R0)), stored at creation
};

/// 1 / (2 sqrt(R0)): with it one Adam step changes an entry of W by about lr.
PANTHER_RUNTIME_API double native_alpha(std::int64_t sketch_size);

/// Applies rules to paths and remembers which rules matched. Errors name the rule's place in the configuration.
class PANTHER_RUNTIME_API SketchPolicy {
 public:
  SketchPolicy() = default;
  SketchPolicy(std::vector<SketchRule> rules, ConfigOrigin origin);
  /// Throws InvalidArgument when sketch_size exceeds min(in, out).
  SketchSpec spec_for(std::string_view path, std::int64_t in_features, std::int64_t out_features);
  /// Throws InvalidArgument for a rule that matched no layer, with the nearest paths. Call after the model is built.
  void check_all_matched() const;

 private:
  std::vector<SketchRule> rules_;
  std::vector<bool> matched_;
  std::vector<std::string> seen_paths_;
  ConfigOrigin origin_;
};

}  // namespace panther::runtime
