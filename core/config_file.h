#pragma once
// Configuration files: TOML plus `--set a.b=value` overrides into structs that list their fields. toml++ lives in
// config_toml.cpp only.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/export.h"
#include "core/fields.h"

namespace panther {

/// Where each key got its value: "train.toml:12:8", "--set optim.lr=1" or "default". Array elements are `sketch[0].match`.
class PANTHER_CORE_API ConfigOrigin {
 public:
  void record(const std::string& key, std::string place) { places_[key] = std::move(place); }
  /// "optim.lr (train.toml:12:8)", for messages of checks that run after parsing.
  std::string at(const std::string& key) const;
  /// True when a file or an override gave the key.
  bool is_set(const std::string& key) const { return places_.contains(key); }

 private:
  std::map<std::string, std::string> places_;
};

using VisitFields = std::function<void(FieldVisitor&)>;

/// Reads `file`, then `overrides` ("a.b=value", TOML value syntax, bare words allowed for strings), into the fields.
/// Throws InvalidArgument naming key, place, what is allowed and the nearest known name; nothing is half-applied to
/// the outside: on a throw the caller drops its struct.
PANTHER_CORE_API ConfigOrigin load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                                          const VisitFields& visit);
/// The same for text that is not a file (`name` stands for it in messages).
PANTHER_CORE_API ConfigOrigin load_config_text(std::string_view text, std::string_view name,
                                               const std::vector<std::string>& overrides, const VisitFields& visit);
/// The resolved configuration as TOML that loads back to equal values.
PANTHER_CORE_API std::string config_to_toml(const VisitFields& visit);
/// The same, each value as TOML by its key ("optim.lr", "sketch[0].match"), for comparing configurations.
PANTHER_CORE_API std::map<std::string, std::string> config_values(const VisitFields& visit);
/// Help for people: key, type, default, range or choices, unit, sentence; one key a line.
PANTHER_CORE_API std::string config_help(const VisitFields& visit);
/// Machine-readable schema (JSON text) with the same facts.
PANTHER_CORE_API std::string config_schema_json(const VisitFields& visit);
/// 64-bit hash of keys and values, independent of spelling, order and comments of the file.
PANTHER_CORE_API std::uint64_t config_hash(const VisitFields& visit);

}  // namespace panther
