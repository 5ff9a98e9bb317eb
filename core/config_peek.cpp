#include "core/config_peek.h"

#include "core/config_tree.h"

namespace panther {

std::optional<std::string> peek_config(std::string_view text, std::string_view name, std::string_view section, std::string_view key) {
  using Kind = detail::ConfigValue::Kind;
  const detail::ConfigValue root = detail::parse_toml(text, name);
  const auto table = root.table.find(std::string(section));
  if (table == root.table.end() || table->second.kind != Kind::table) return std::nullopt;
  const auto found = table->second.table.find(std::string(key));
  if (found == table->second.table.end()) return std::nullopt;
  if (found->second.kind == Kind::text) return found->second.text;
  if (found->second.kind == Kind::integer) return std::to_string(found->second.integer);
  return std::nullopt;
}

}  // namespace panther
