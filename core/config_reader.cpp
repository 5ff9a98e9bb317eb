#include "core/config_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/json_text.h"

namespace panther::detail {

namespace {

using Kind = ConfigValue::Kind;

[[noreturn]] void fail_type(const ConfigValue& value, std::string_view key, std::string_view wanted, std::string_view remedy = "") {
  fail(ErrorCode::InvalidArgument, value.place, ": ", key, " wants ", wanted, ", but is ", describe(value), remedy.empty() ? "" : "; ",
       remedy);
}

std::string range_text(const FieldInfo& info) {
  const bool low = std::isfinite(info.min), high = std::isfinite(info.max);
  if (low && high) return concat("from ", json_number(info.min), " to ", json_number(info.max));
  return low ? concat("at least ", json_number(info.min)) : concat("at most ", json_number(info.max));
}

/// Where there is a bound, nan and infinities fail, on the open side too.
void check_range(double number, const ConfigValue& value, std::string_view key, const FieldInfo& info) {
  if (std::isinf(info.min) && std::isinf(info.max)) return;
  const bool finite = std::isfinite(number);
  PANTHER_REQUIRE(finite && number >= info.min && number <= info.max, value.place, ": ", key, " is ", describe(value), "; it must be ",
                  finite ? "" : "finite and ", range_text(info), info.unit.empty() ? "" : " ", info.unit);
}

void read(const ConfigValue& value, std::string_view key, const FieldInfo&, bool& out) {
  if (value.kind != Kind::boolean) fail_type(value, key, "true or false");
  out = value.boolean;
}

void read(const ConfigValue& value, std::string_view key, const FieldInfo& info, std::int64_t& out) {
  if (value.kind == Kind::real && value.real == std::floor(value.real) && std::fabs(value.real) < 9e15)
    fail_type(value, key, "a whole number", concat("write ", static_cast<std::int64_t>(value.real)));
  if (value.kind != Kind::integer) fail_type(value, key, "a whole number");
  check_range(static_cast<double>(value.integer), value, key, info);
  out = value.integer;
}

void read(const ConfigValue& value, std::string_view key, const FieldInfo& info, double& out) {
  if (value.kind != Kind::real && value.kind != Kind::integer) fail_type(value, key, "a number");
  const double number = value.kind == Kind::real ? value.real : static_cast<double>(value.integer);
  check_range(number, value, key, info);
  out = number;
}

void read(const ConfigValue& value, std::string_view key, const FieldInfo& info, std::string& out) {
  const bool bare = value.kind != Kind::text && !value.bare.empty();
  if (value.kind != Kind::text && !bare) fail_type(value, key, "text", "put it in quotes");
  const std::string& text = bare ? value.bare : value.text;
  if (!info.choices.empty() && std::find(info.choices.begin(), info.choices.end(), text) == info.choices.end()) {
    const std::string near = nearest(text, info.choices);
    fail(ErrorCode::InvalidArgument, value.place, ": ", key, " does not know ", toml_text(text),
         near.empty() ? "" : concat("; did you mean ", toml_text(near), "?"),
         near.empty() ? "; allowed: " : " Allowed: ", join(info.choices));
  }
  out = text;
}

constexpr std::string_view wanted_list(const std::vector<double>&) { return "an array of numbers"; }
constexpr std::string_view wanted_list(const std::vector<std::int64_t>&) { return "an array of whole numbers"; }
constexpr std::string_view wanted_list(const std::vector<std::string>&) { return "an array of texts"; }

/// The elements that overrides named, in order. `count`: how many there are before them.
std::map<std::size_t, const ConfigValue*> indexed(const ConfigValue& value, std::string_view key, std::size_t count) {
  std::map<std::size_t, const ConfigValue*> items;
  for (const auto& [name, item] : value.table) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    PANTHER_REQUIRE(error == std::errc() && end == name.data() + name.size(), item.key_place, ": '", name,
                    "' is not the number of an element of ", key);
    items.emplace(index, &item);
  }
  for (const auto& [index, item] : items) {
    PANTHER_REQUIRE(index <= count, item->key_place, ": ", key, " has ", count, " elements; the next new one is number ", count);
    count = std::max(count, index + 1);
  }
  return items;
}

}  // namespace

ConfigReader::ConfigReader(const ConfigValue& root, const std::vector<std::string>& all_keys, ConfigOrigin& origin)
    : all_keys_(all_keys), origin_(origin), frames_{Frame{&root, "", {}}} {}

void ConfigReader::finish() { check_unknown(frames_.back()); }

std::string ConfigReader::key_of(std::string_view name) const {
  const std::string& section = frames_.back().key;
  return section.empty() ? std::string(name) : concat(section, ".", name);
}

const ConfigValue* ConfigReader::given(std::string_view name) {
  Frame& frame = frames_.back();
  PANTHER_CHECK(std::find(frame.known.begin(), frame.known.end(), name) == frame.known.end(), "field '", key_of(name), "' is listed twice");
  frame.known.emplace_back(name);
  if (frame.table == nullptr) return nullptr;
  const auto found = frame.table->table.find(std::string(name));
  return found == frame.table->table.end() ? nullptr : &found->second;
}

template <class T>
void ConfigReader::read_scalar(std::string_view name, T& value, const FieldInfo& info) {
  const ConfigValue* source = given(name);
  if (source == nullptr) return;
  const std::string key = key_of(name);
  read(*source, key, info, value);
  origin_.record(key, source->place);
}

template <class T>
void ConfigReader::read_list(std::string_view name, std::vector<T>& value, const FieldInfo& info) {
  const ConfigValue* source = given(name);
  if (source == nullptr) return;
  const std::string key = key_of(name);
  if (source->kind == Kind::list) {
    value.clear();
    for (std::size_t i = 0; i < source->list.size(); ++i) read(source->list[i], concat(key, "[", i, "]"), info, value.emplace_back());
  } else if (source->by_index) {
    for (const auto& [index, item] : indexed(*source, key, value.size())) {
      if (index == value.size()) value.emplace_back();
      read(*item, concat(key, "[", index, "]"), info, value[index]);
    }
  } else {
    fail_type(*source, key, wanted_list(value));
  }
  origin_.record(key, source->place);
}

void ConfigReader::field(std::string_view name, bool& value, const FieldInfo& info) { read_scalar(name, value, info); }
void ConfigReader::field(std::string_view name, std::int64_t& value, const FieldInfo& info) { read_scalar(name, value, info); }
void ConfigReader::field(std::string_view name, double& value, const FieldInfo& info) { read_scalar(name, value, info); }
void ConfigReader::field(std::string_view name, std::string& value, const FieldInfo& info) { read_scalar(name, value, info); }
void ConfigReader::field(std::string_view name, std::vector<double>& value, const FieldInfo& info) { read_list(name, value, info); }
void ConfigReader::field(std::string_view name, std::vector<std::int64_t>& value, const FieldInfo& info) { read_list(name, value, info); }
void ConfigReader::field(std::string_view name, std::vector<std::string>& value, const FieldInfo& info) { read_list(name, value, info); }

void ConfigReader::begin_section(std::string_view name, std::string_view) {
  const ConfigValue* source = given(name);
  const std::string key = key_of(name);
  if (source != nullptr) {
    if (source->kind != Kind::table) fail_type(*source, key, concat("a section [", key, "]"));
    origin_.record(key, source->place);
  }
  frames_.push_back(Frame{source, key, {}});
}

void ConfigReader::end_section() {
  check_unknown(frames_.back());
  frames_.pop_back();
}

void ConfigReader::visit_element(const ConfigValue& element, const std::string& key, std::size_t index, const ArrayAccess& array) {
  const std::string element_key = concat(key, "[", index, "]");
  if (element.kind != Kind::table) fail_type(element, element_key, concat("a table, written under [[", key, "]]"));
  origin_.record(element_key, element.place);
  frames_.push_back(Frame{&element, element_key, {}});
  array.visit(index);
  end_section();
}

void ConfigReader::array_section(std::string_view name, std::string_view, const ArrayAccess& array) {
  const ConfigValue* source = given(name);
  if (source == nullptr) return;
  const std::string key = key_of(name);
  if (source->kind == Kind::list) {
    // Emptied first, so that elements start from the defaults of their type and not from a default element's values.
    array.resize(0);
    array.resize(source->list.size());
    for (std::size_t i = 0; i < source->list.size(); ++i) visit_element(source->list[i], key, i, array);
  } else if (source->by_index) {
    for (const auto& [index, item] : indexed(*source, key, array.size())) {
      if (index == array.size()) array.resize(index + 1);
      visit_element(*item, key, index, array);
    }
  } else {
    fail_type(*source, key, "an array of tables", concat("write [[", key, "]] with two brackets"));
  }
  origin_.record(key, source->place);
}

void ConfigReader::check_unknown(const Frame& frame) const {
  if (frame.table == nullptr) return;
  for (const auto& [name, value] : frame.table->table) {
    if (std::find(frame.known.begin(), frame.known.end(), name) != frame.known.end()) continue;
    const std::string key = frame.key.empty() ? name : concat(frame.key, ".", name);
    std::string near = nearest(name, frame.known);
    if (!near.empty() && !frame.key.empty()) near = concat(frame.key, ".", near);
    // The right name in the wrong section, for example `lr` at the top.
    for (const std::string& other : all_keys_)
      if (near.empty() && other.ends_with(concat(".", name))) near = other;
    fail(ErrorCode::InvalidArgument, value.key_place, ": unknown key ", key, near.empty() ? "" : concat("; did you mean ", near, "?"),
         near.empty() ? "; " : " ", frame.key.empty() ? "the top level" : concat("[", frame.key, "]"), " knows: ", join(frame.known));
  }
}

}  // namespace panther::detail
