#include "runtime/train/model_difference.h"

#include <map>
#include <set>

#include "core/error.h"

namespace panther::runtime {

namespace {

constexpr std::size_t kShown = 5;

using Values = std::map<std::string, std::string>;

Values values_of(RunConfig config) { return config_values(config.visitor()); }

std::string said(const Values& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? std::string("absent") : found->second;
}

}  // namespace

std::string model_difference(std::string_view stored_toml, const RunConfig& own) {
  Values there, here = values_of(model_settings(own));
  try {
    there = values_of(model_settings(load_run_config_text(std::string(stored_toml), "config.toml").config));
  } catch (const Error&) {
    return {};
  }
  std::set<std::string> keys;
  for (const auto& [key, value] : there) keys.insert(key);
  for (const auto& [key, value] : here) keys.insert(key);
  std::vector<std::string> parts;
  for (const std::string& key : keys) {
    if (said(there, key) != said(here, key)) parts.push_back(concat(key, " is ", said(there, key), " there and ", said(here, key), " here"));
  }
  return join_first(std::move(parts), kShown);
}

}  // namespace panther::runtime
