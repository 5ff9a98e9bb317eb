#pragma once
// Command lines of subcommands: options, values, positional words, help.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/export.h"

namespace panther {

struct OptionSpec {
  std::string name;          ///< "--set"
  std::string value;         ///< what the value is called in help, "" for a flag
  std::string help;
};

/// A parsed command line. Unknown options and missing values throw InvalidArgument with the nearest known option.
class PANTHER_CORE_API Arguments {
 public:
  Arguments(std::string usage, std::vector<OptionSpec> options, const std::vector<std::string>& words);

  bool flag(const std::string& name) const { return values_.contains(name); }
  std::optional<std::string> value(const std::string& name) const;
  std::vector<std::string> values(const std::string& name) const;
  std::int64_t integer(const std::string& name, std::int64_t otherwise) const;
  double number(const std::string& name, double otherwise) const;
  const std::vector<std::string>& positional() const { return positional_; }
  /// The only positional word. Throws InvalidArgument with the usage when there is none or more than one.
  const std::string& only_positional(const std::string& what) const;
  /// Throws InvalidArgument with the usage when there is a positional word.
  void no_positional() const;
  bool wants_help() const { return flag("--help"); }
  std::string help() const;

 private:
  std::string usage_;
  std::vector<OptionSpec> options_;
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positional_;
};

}  // namespace panther
