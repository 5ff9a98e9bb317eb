#include <algorithm>
#include <charconv>
#include <optional>

#include "core/config_tree.h"
#include "core/error.h"

namespace panther::detail {

namespace {

constexpr std::string_view kHow = "write --set key=value, for example --set optim.lr=0.001 or --set sketch.0.sketch_size=8";

/// "sketch[0].kind" and "sketch.0.kind" both become {sketch, 0, kind}.
std::vector<std::string> split_key(std::string_view key, std::string_view whole) {
  std::vector<std::string> parts{""};
  for (std::size_t i = 0; i < key.size(); ++i) {
    const char c = key[i];
    if (c == '.' || c == '[') {
      parts.emplace_back();
    } else if (c == ']') {
      PANTHER_REQUIRE(i + 1 == key.size() || key[i + 1] == '.' || key[i + 1] == '[', "--set ", whole, ": text follows ']'; ", kHow);
    } else {
      parts.back() += c;
    }
  }
  for (const std::string& part : parts) PANTHER_REQUIRE(!part.empty(), "--set ", whole, ": the key has an empty part; ", kHow);
  return parts;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::optional<std::size_t> as_index(const std::string& part) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  return error == std::errc() && end == part.data() + part.size() ? std::optional(index) : std::nullopt;
}

void set_place(ConfigValue& value, const std::string& place) {
  value.place = place;
  value.key_place = place;
  for (ConfigValue& item : value.list) set_place(item, place);
  for (auto& [name, item] : value.table) set_place(item, place);
}

ConfigValue parse_value(std::string_view text, std::string_view whole) {
  const bool has_quotes_or_brackets = !text.empty() && std::string_view("\"'[{").find(text.front()) != std::string_view::npos;
  try {
    ConfigValue value = parse_toml_value(text);
    if (!has_quotes_or_brackets) value.bare = std::string(text);
    return value;
  } catch (const Error& error) {
    if (has_quotes_or_brackets) fail(error.code(), "--set ", whole, ": ", error.message(), "; text inside arrays and tables needs quotes");
  }
  ConfigValue value;
  value.kind = ConfigValue::Kind::text;
  value.text = std::string(text);
  return value;
}

/// The child of `parent` that `part` names; made when absent.
ConfigValue& child(ConfigValue& parent, const std::string& part, const std::string& parent_key, const std::string& place) {
  const auto index = as_index(part);
  if (parent.kind == ConfigValue::Kind::list) {
    PANTHER_REQUIRE(index, place, ": ", parent_key, " (", parent.place, ") is an array; name an element, for example ", parent_key, ".0");
    PANTHER_REQUIRE(*index <= parent.list.size(), place, ": ", parent_key, " (", parent.place, ") has ", parent.list.size(),
                    " elements; the next new one is number ", parent.list.size());
    if (*index == parent.list.size()) {
      parent.list.emplace_back();
      set_place(parent.list.back(), place);
    }
    return parent.list[*index];
  }
  PANTHER_REQUIRE(parent.kind == ConfigValue::Kind::table, place, ": ", parent_key, " (", parent.place, ") is ", describe(parent),
                  ", not a section");
  if (index && parent.table.empty()) parent.by_index = true;
  const auto [found, fresh] = parent.table.try_emplace(part);
  if (fresh) set_place(found->second, place);
  return found->second;
}

/// Tables merge key by key; anything else replaces what was there.
void merge(ConfigValue& into, ConfigValue&& from) {
  if (into.kind != ConfigValue::Kind::table || from.kind != ConfigValue::Kind::table) {
    into = std::move(from);
    return;
  }
  for (auto& [name, item] : from.table) {
    const auto [found, fresh] = into.table.try_emplace(name);
    if (fresh) {
      found->second = std::move(item);
    } else {
      merge(found->second, std::move(item));
    }
  }
}

}  // namespace

void apply_override(ConfigValue& root, const std::string& override_text) {
  const std::size_t equals = override_text.find('=');
  PANTHER_REQUIRE(equals != std::string::npos, "--set ", override_text, " has no '='; ", kHow);
  const std::string place = concat("--set ", override_text);
  const auto parts = split_key(trimmed(std::string_view(override_text).substr(0, equals)), override_text);
  ConfigValue value = parse_value(trimmed(std::string_view(override_text).substr(equals + 1)), override_text);
  set_place(value, place);
  ConfigValue* at = &root;
  std::string key;
  for (const std::string& part : parts) {
    at = &child(*at, part, key, place);
    key += key.empty() ? part : concat(".", part);
  }
  merge(*at, std::move(value));
}

}  // namespace panther::detail
