#include "core/config_file.h"

#include <system_error>

#include "core/atomic_file.h"
#include "core/config_describe.h"
#include "core/config_reader.h"
#include "core/config_tree.h"
#include "core/error.h"

namespace panther {

std::string ConfigOrigin::at(const std::string& key) const {
  const auto found = places_.find(key);
  return concat(key, " (", found == places_.end() ? "default" : found->second, ")");
}

ConfigOrigin load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides, const VisitFields& visit) {
  std::error_code ignored;
  PANTHER_REQUIRE(std::filesystem::exists(file, ignored), "there is no configuration file '", file.string(), "'; check the path");
  PANTHER_REQUIRE(!std::filesystem::is_directory(file, ignored), "'", file.string(), "' is a folder; name a TOML file");
  return load_config_text(read_file(file), file.string(), overrides, visit);
}

ConfigOrigin load_config_text(std::string_view text, std::string_view name, const std::vector<std::string>& overrides,
                              const VisitFields& visit) {
  detail::ConfigValue root = detail::parse_toml(text, name);
  for (const std::string& override_text : overrides) detail::apply_override(root, override_text);
  std::vector<std::string> all_keys;
  detail::collect_keys(detail::list_fields(visit, detail::FieldLister::Elements::of_type), all_keys);
  ConfigOrigin origin;
  detail::ConfigReader reader(root, all_keys, origin);
  visit(reader);
  reader.finish();
  return origin;
}

}  // namespace panther
