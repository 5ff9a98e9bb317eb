// What the fields of a struct are, in four forms: TOML, help, schema, hash. All come from one flat list of facts.
#include "core/config_describe.h"

#include <algorithm>
#include <cmath>

#include "core/config_file.h"
#include "core/config_tree.h"
#include "core/json_text.h"
#include "core/text.h"

namespace panther {

namespace detail {

namespace {

std::string plain(bool value) { return value ? "true" : "false"; }
std::string plain(std::int64_t value) { return std::to_string(value); }
std::string plain(double value) { return toml_number(value); }
std::string plain(const std::string& value) { return toml_text(value); }

std::string json(bool value) { return plain(value); }
std::string json(std::int64_t value) { return plain(value); }
std::string json(double value) { return json_number(value); }
std::string json(const std::string& value) { return json_quote(value); }

template <class T>
std::string plain(const std::vector<T>& values) {
  std::vector<std::string> items;
  for (const T& value : values) items.push_back(plain(value));
  return concat("[", join(items), "]");
}

template <class T>
std::string json(const std::vector<T>& values) {
  std::vector<std::string> items;
  for (const T& value : values) items.push_back(json(value));
  return concat("[", join(items), "]");
}

}  // namespace

FieldLister::FieldLister(Elements elements) : elements_(elements), sections_{ListedSection{"", "", false, 0, {}, {}}} {}

template <class T>
void FieldLister::add(std::string_view name, const char* type, const T& value, const FieldInfo& info) {
  ListedSection& section = at();
  section.fields.push_back(ListedField{std::string(name), section.key.empty() ? std::string(name) : concat(section.key, ".", name), type,
                                       plain(value), json(value), info});
}

void FieldLister::field(std::string_view name, bool& value, const FieldInfo& info) { add(name, "boolean", value, info); }
void FieldLister::field(std::string_view name, std::int64_t& value, const FieldInfo& info) { add(name, "integer", value, info); }
void FieldLister::field(std::string_view name, double& value, const FieldInfo& info) { add(name, "number", value, info); }
void FieldLister::field(std::string_view name, std::string& value, const FieldInfo& info) { add(name, "text", value, info); }
void FieldLister::field(std::string_view name, std::vector<double>& value, const FieldInfo& info) { add(name, "numbers", value, info); }
void FieldLister::field(std::string_view name, std::vector<std::int64_t>& value, const FieldInfo& info) {
  add(name, "integers", value, info);
}
void FieldLister::field(std::string_view name, std::vector<std::string>& value, const FieldInfo& info) { add(name, "texts", value, info); }

ListedSection& FieldLister::at() {
  ListedSection* section = &sections_.front();
  for (const std::size_t index : path_) section = &section->children[index];
  return *section;
}

void FieldLister::enter(std::string_view name, std::string key_suffix, std::string_view help, bool array, std::size_t index) {
  ListedSection& parent = at();
  const std::string key = concat(parent.key, parent.key.empty() ? "" : ".", name, key_suffix);
  parent.children.push_back(ListedSection{key, std::string(help), array, index, {}, {}});
  path_.push_back(parent.children.size() - 1);
}

void FieldLister::begin_section(std::string_view name, std::string_view help) { enter(name, "", help, false, 0); }

void FieldLister::end_section() { path_.pop_back(); }

void FieldLister::array_section(std::string_view name, std::string_view help, const ArrayAccess& array) {
  if (elements_ == Elements::of_type) {
    enter(name, "[]", help, true, 0);
    array.visit_default();
    end_section();
    return;
  }
  const std::size_t count = array.size();
  // An empty array must be said aloud: the defaults may have elements.
  if (count == 0) add(name, "tables", std::vector<std::string>{}, FieldInfo{std::string(help)});
  for (std::size_t i = 0; i < count; ++i) {
    enter(name, concat("[", i, "]"), help, true, i);
    array.visit(i);
    end_section();
  }
}

ListedSection list_fields(const VisitFields& visit, FieldLister::Elements elements) {
  FieldLister lister(elements);
  visit(lister);
  return lister.root();
}

void collect_keys(const ListedSection& section, std::vector<std::string>& keys) {
  for (const ListedField& field : section.fields) keys.push_back(field.key);
  for (const ListedSection& child : section.children) collect_keys(child, keys);
}

}  // namespace detail

namespace {

using detail::FieldLister;
using detail::ListedField;
using detail::ListedSection;

/// "sketch[0].rule[1]" -> "sketch.rule": the element is the last one written, as TOML wants it.
std::string table_name(const std::string& key) {
  std::string name;
  bool inside = false;
  for (const char c : key) {
    if (c == '[') inside = true;
    if (!inside) name += c;
    if (c == ']') inside = false;
  }
  return name;
}

void write_toml(const ListedSection& section, std::string& out) {
  if (!section.key.empty()) {
    const std::string name = table_name(section.key);
    out += concat(out.empty() ? "" : "\n", section.array ? "[[" : "[", name, section.array ? "]]" : "]", "\n");
  }
  for (const ListedField& field : section.fields) out += concat(field.name, " = ", field.value, "\n");
  for (const ListedSection& child : section.children) write_toml(child, out);
}

void collect_values(const ListedSection& section, std::map<std::string, std::string>& values) {
  for (const ListedField& field : section.fields) values.emplace(field.key, field.value);
  for (const ListedSection& child : section.children) collect_values(child, values);
}

std::string limits_text(const ListedField& field) {
  const bool low = std::isfinite(field.info.min), high = std::isfinite(field.info.max);
  std::string text;
  if (!field.info.choices.empty()) text = concat(" (", join(field.info.choices, " | "), ")");
  if (low && high) text += concat(" from ", json_number(field.info.min), " to ", json_number(field.info.max));
  if (low && !high) text += concat(" >= ", json_number(field.info.min));
  if (!low && high) text += concat(" <= ", json_number(field.info.max));
  if (!field.info.unit.empty()) text += concat(" ", field.info.unit);
  return text;
}

std::size_t widest(const ListedSection& section) {
  std::size_t width = 0;
  for (const ListedField& field : section.fields) width = std::max(width, field.key.size() + 3 + field.value.size());
  for (const ListedSection& child : section.children) width = std::max(width, widest(child));
  return width;
}

void write_help(const ListedSection& section, std::size_t width, std::string& out) {
  if (!section.key.empty())
    out +=
        concat("\n", section.array ? concat("[[", table_name(section.key), "]]") : concat("[", section.key, "]"), "  ", section.help, "\n");
  for (const ListedField& field : section.fields) {
    const std::string head = concat(field.key, " = ", field.value);
    const std::string padding(width > head.size() ? width - head.size() : 0, ' ');
    out += concat("  ", head, padding, "  ", field.type, limits_text(field), "; ", field.info.help, "\n");
  }
  for (const ListedSection& child : section.children) write_help(child, width, out);
}

std::string schema_of(const ListedField& field) {
  std::string text = concat("{\"key\":", json_quote(field.key), ",\"type\":", json_quote(field.type), ",\"default\":", field.json,
                            ",\"help\":", json_quote(field.info.help), ",\"unit\":", json_quote(field.info.unit));
  if (std::isfinite(field.info.min)) text += concat(",\"min\":", json_number(field.info.min));
  if (std::isfinite(field.info.max)) text += concat(",\"max\":", json_number(field.info.max));
  if (!field.info.choices.empty()) {
    std::vector<std::string> choices;
    for (const std::string& choice : field.info.choices) choices.push_back(json_quote(choice));
    text += concat(",\"choices\":[", join(choices, ","), "]");
  }
  return text + "}";
}

void collect_schema(const ListedSection& section, std::vector<std::string>& sections, std::vector<std::string>& fields) {
  if (!section.key.empty())
    sections.push_back(concat("{\"key\":", json_quote(section.key), ",\"array\":", section.array ? "true" : "false",
                              ",\"help\":", json_quote(section.help), "}"));
  for (const ListedField& field : section.fields) fields.push_back(schema_of(field));
  for (const ListedSection& child : section.children) collect_schema(child, sections, fields);
}

void collect_lines(const ListedSection& section, std::vector<std::string>& lines) {
  for (const ListedField& field : section.fields) lines.push_back(concat(field.key, " = ", field.value, "\n"));
  // An element whose fields are all absent still counts.
  if (section.array) lines.push_back(concat(section.key, "\n"));
  for (const ListedSection& child : section.children) collect_lines(child, lines);
}

}  // namespace

std::string config_to_toml(const VisitFields& visit) {
  std::string out;
  write_toml(list_fields(visit, FieldLister::Elements::of_value), out);
  return out;
}

std::map<std::string, std::string> config_values(const VisitFields& visit) {
  std::map<std::string, std::string> values;
  collect_values(list_fields(visit, FieldLister::Elements::of_value), values);
  return values;
}

std::string config_help(const VisitFields& visit) {
  const ListedSection root = list_fields(visit, FieldLister::Elements::of_type);
  std::string out;
  write_help(root, std::min<std::size_t>(widest(root), 48), out);
  return out;
}

std::string config_schema_json(const VisitFields& visit) {
  std::vector<std::string> sections, fields;
  collect_schema(list_fields(visit, FieldLister::Elements::of_type), sections, fields);
  return concat("{\"version\":1,\"sections\":[", join(sections, ","), "],\"fields\":[", join(fields, ","), "]}");
}

std::uint64_t config_hash(const VisitFields& visit) {
  std::vector<std::string> lines;
  collect_lines(list_fields(visit, FieldLister::Elements::of_value), lines);
  std::sort(lines.begin(), lines.end());
  // FNV-1a, then the finaliser of SplitMix64 so that near configurations differ in all bits.
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::string& line : lines)
    for (const char c : line) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
  return hash ^ (hash >> 31);
}

}  // namespace panther
