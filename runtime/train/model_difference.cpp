#include "runtime/train/model_difference.h"

#include <map>
#include <set>
#include <sstream>

#include "core/error.h"

namespace panther::runtime {

namespace {

constexpr std::size_t kShown = 5;

/// Value by key of the configuration's TOML; elements of arrays are numbered from 0.
std::map<std::string, std::string> values_of(RunConfig config) {
  std::istringstream lines(config_to_toml(config.visitor()));
  std::map<std::string, std::string> values;
  std::map<std::string, int> elements;
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("[[")) {
      const std::string name = line.substr(2, line.find("]]") - 2);
      section = concat(name, "[", elements[name]++, "].");
    } else if (line.starts_with("[")) {
      section = line.substr(1, line.find(']') - 1) + ".";
    } else if (const std::size_t equals = line.find(" = "); equals != line.npos) {
      values[section + line.substr(0, equals)] = line.substr(equals + 3);
    }
  }
  return values;
}

std::string said(const std::map<std::string, std::string>& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? std::string("absent") : found->second;
}

}  // namespace

std::string model_difference(std::string_view stored_toml, const RunConfig& own) {
  std::map<std::string, std::string> there, here = values_of(model_settings(own));
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
  if (parts.size() > kShown) parts.resize(kShown), parts.emplace_back("and more");
  return join(parts, ", ");
}

}  // namespace panther::runtime
