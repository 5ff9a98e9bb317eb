#include <toml++/toml.h>

#include <charconv>
#include <cmath>

#include "core/config_tree.h"
#include "core/error.h"
#include "core/json_text.h"

namespace panther::detail {

namespace {

std::string place_of(std::string_view name, const toml::source_region& region) {
  return concat(name, ":", region.begin.line, ":", region.begin.column);
}

ConfigValue convert(const toml::node& node, std::string_view name);

void convert_table(const toml::table& table, std::string_view name, ConfigValue& value) {
  value.kind = ConfigValue::Kind::table;
  for (const auto& [key, child] : table) {
    ConfigValue converted = convert(child, name);
    converted.key_place = place_of(name, key.source());
    value.table.emplace(std::string(key.str()), std::move(converted));
  }
}

ConfigValue convert(const toml::node& node, std::string_view name) {
  ConfigValue value;
  value.place = place_of(name, node.source());
  if (const auto* table = node.as_table()) {
    convert_table(*table, name, value);
  } else if (const auto* array = node.as_array()) {
    value.kind = ConfigValue::Kind::list;
    for (const auto& item : *array) value.list.push_back(convert(item, name));
  } else if (const auto* boolean = node.as_boolean()) {
    value.kind = ConfigValue::Kind::boolean;
    value.boolean = boolean->get();
  } else if (const auto* integer = node.as_integer()) {
    value.kind = ConfigValue::Kind::integer;
    value.integer = integer->get();
  } else if (const auto* real = node.as_floating_point()) {
    value.kind = ConfigValue::Kind::real;
    value.real = real->get();
  } else if (const auto* text = node.as_string()) {
    value.kind = ConfigValue::Kind::text;
    value.text = text->get();
  } else {
    value.kind = ConfigValue::Kind::time;
    std::ostringstream out;
    node.visit([&out](const auto& leaf) { if constexpr (toml::is_value<decltype(leaf)>) out << leaf.get(); });
    value.text = std::move(out).str();
  }
  return value;
}

}  // namespace

ConfigValue parse_toml(std::string_view text, std::string_view name) {
  try {
    const toml::table document = toml::parse(text, name);
    ConfigValue root;
    root.place = concat(name, ":1:1");
    convert_table(document, name, root);
    return root;
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::InvalidArgument, place_of(name, error.source()), ": not valid TOML: ", error.description());
  }
}

ConfigValue parse_toml_value(std::string_view text) {
  try {
    const toml::table document = toml::parse(concat("value = ", text, "\n"));
    const toml::node* node = document.get("value");
    PANTHER_REQUIRE(node != nullptr && document.size() == 1, "'", text, "' is more than one TOML value");
    return convert(*node, "");
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::InvalidArgument, "'", text, "' is not a TOML value: ", error.description());
  }
}

std::string toml_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  std::string text(buffer, result.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string toml_text(std::string_view text) {
  // JSON's escapes are TOML's too; TOML also wants DEL escaped.
  std::string quoted;
  for (const char c : json_quote(text)) {
    if (c == '\x7f') {
      quoted += "\\u007f";
    } else {
      quoted += c;
    }
  }
  return quoted;
}

std::string describe(const ConfigValue& value) {
  switch (value.kind) {
    case ConfigValue::Kind::boolean: return value.boolean ? "true" : "false";
    case ConfigValue::Kind::integer: return concat("the whole number ", value.integer);
    case ConfigValue::Kind::real: return concat("the number ", toml_number(value.real));
    case ConfigValue::Kind::text: return concat("the text ", toml_text(value.text));
    case ConfigValue::Kind::time: return concat("the date or time ", value.text);
    case ConfigValue::Kind::list: return concat("an array of ", value.list.size());
    case ConfigValue::Kind::table: return "a table";
  }
  return "an unknown value";
}

}  // namespace panther::detail
