#pragma once
// What a configuration file says, with the place of every value. Private to core: the bridge between toml++
// (config_toml.cpp) and the fields of a struct (config_reader.cpp).
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace panther::detail {

struct ConfigValue {
  enum class Kind { boolean, integer, real, text, time, list, table };

  Kind kind = Kind::table;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;                           ///< of Kind::text, and of Kind::time as it was written
  std::vector<ConfigValue> list;
  std::map<std::string, ConfigValue> table;
  std::string place;                          ///< "train.toml:12:8" or "--set optim.lr=1"
  std::string key_place;                      ///< the same for the key
  std::string bare;                           ///< an override's value as typed when it has no quotes: text where text is wanted
  bool by_index = false;                      ///< a table whose keys are element numbers, from an override such as `sketch.0.kind=x`
};

/// A document as a table. `name` stands for the file in places. Throws InvalidArgument with name:line:column.
ConfigValue parse_toml(std::string_view text, std::string_view name);
/// One TOML value; throws InvalidArgument with toml++'s reason when `text` is not exactly one.
ConfigValue parse_toml_value(std::string_view text);
/// Applies "a.b=value" to a table. Throws InvalidArgument.
void apply_override(ConfigValue& root, const std::string& override_text);
/// "the text \"fast\"", "the whole number 3", "a table": for messages.
std::string describe(const ConfigValue& value);

/// The shortest decimal that reads back to the same double and that TOML takes for a float: 1.0, 1e-05, inf, nan.
std::string toml_number(double value);
/// A TOML basic string with its quotes.
std::string toml_text(std::string_view text);

}  // namespace panther::detail
