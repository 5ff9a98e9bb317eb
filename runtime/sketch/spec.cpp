#include "runtime/sketch/spec.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace panther::runtime {
namespace {

std::string key_of(std::size_t rule, std::string_view field) { return concat("sketch[", rule, "].", field); }

/// The seen paths that share most with the pattern: those whose fixed parts occur, then the one nearest by spelling.
std::vector<std::string> nearest_paths(const std::string& pattern, const std::vector<std::string>& paths) {
  std::vector<std::string> result;
  std::string word;
  std::vector<std::string> parts;
  for (const char c : pattern + "*") {
    if (c != '*' && c != '?') {
      word += c;
      continue;
    }
    if (word.size() > 1) parts.push_back(word);
    word.clear();
  }
  std::size_t best = 1;
  for (const std::string& path : paths) {
    const auto hits = static_cast<std::size_t>(
        std::count_if(parts.begin(), parts.end(), [&](const std::string& part) { return path.find(part) != path.npos; }));
    if (hits > best) result.clear();
    if (hits >= best && result.size() < 3) result.push_back(path);
    best = std::max(best, hits);
  }
  const std::string spelt = nearest(pattern, paths);
  if (!spelt.empty() && std::find(result.begin(), result.end(), spelt) == result.end()) result.insert(result.begin(), spelt);
  if (result.empty()) result.assign(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(3, paths.size())));
  return result;
}

}  // namespace

void SketchRule::fields(FieldVisitor& v) {
  v.field("match", match, {.help = "glob over module paths, as in blocks.*.mlp.*; the last match wins"});
  v.field("kind", kind, {.help = "form of the layer", .choices = {"dense", "sketched", "factorized"}});
  v.field("sketch_size", sketch_size, {.help = "R, at most min(inputs, outputs); for factorized the inner width", .min = 1, .max = 1 << 20});
  v.field("init", init, {.help = "start values; fitted and unbiased need init_from", .choices = {"scratch", "fitted", "unbiased", "imported"}});
}

double native_alpha(std::int64_t sketch_size) { return 0.5 / std::sqrt(static_cast<double>(sketch_size)); }

SketchPolicy::SketchPolicy(std::vector<SketchRule> rules, ConfigOrigin origin)
    : rules_(std::move(rules)), matched_(rules_.size(), false), origin_(std::move(origin)) {
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const SketchRule& rule = rules_[i];
    PANTHER_REQUIRE(!rule.match.empty(), origin_.at(key_of(i, "match")), " is empty; write a glob over module paths, '*' for all linear layers");
    PANTHER_REQUIRE(rule.sketch_size >= 1, origin_.at(key_of(i, "sketch_size")), " = ", rule.sketch_size, " must be at least 1");
    PANTHER_REQUIRE(rule.init != "unbiased" || rule.kind != "factorized", origin_.at(key_of(i, "init")),
                    " = 'unbiased' is for sketched layers; a factorized layer is fitted");
    PANTHER_REQUIRE(rule.init != "imported" || rule.kind == "sketched", origin_.at(key_of(i, "init")),
                    " = 'imported' is for sketched layers, not for ", rule.kind);
  }
}

SketchSpec SketchPolicy::spec_for(std::string_view path, std::int64_t in_features, std::int64_t out_features) {
  seen_paths_.emplace_back(path);
  std::size_t winner = rules_.size();
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (!glob_match(rules_[i].match, path)) continue;
    matched_[i] = true;
    winner = i;
  }
  if (winner == rules_.size() || rules_[winner].kind == "dense") return {};
  const SketchRule& rule = rules_[winner];
  PANTHER_REQUIRE(rule.sketch_size <= std::min(in_features, out_features), origin_.at(key_of(winner, "sketch_size")), " = ", rule.sketch_size,
                  " is above min(inputs, outputs) = ", std::min(in_features, out_features), " of layer ", path, " (", in_features, " x ",
                  out_features, "); choose a smaller one, or exclude the layer with a later rule of kind dense");
  return {rule.kind, rule.sketch_size, rule.init, rule.kind == "sketched" ? native_alpha(rule.sketch_size) : 0.0};
}

void SketchPolicy::check_all_matched() const {
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (matched_[i]) continue;
    PANTHER_REQUIRE(!seen_paths_.empty(), origin_.at(key_of(i, "match")), " = '", rules_[i].match, "' matches no layer: the model has no linear layers");
    fail(ErrorCode::InvalidArgument, origin_.at(key_of(i, "match")), " = '", rules_[i].match, "' matches no linear layer; nearest: ",
         join(nearest_paths(rules_[i].match, seen_paths_)));
  }
}

}  // namespace panther::runtime
