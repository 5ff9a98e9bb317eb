#pragma once
// One value of a configuration file, for programs that do not know what the file configures.
#include <optional>
#include <string>
#include <string_view>

#include "core/export.h"

namespace panther {

/// The value at "section.key" as text (a string without its quotes, a whole number in decimal); nullopt where the key is absent or holds
/// something else. Nothing is checked but that `text` is TOML: InvalidArgument with name:line:column otherwise.
PANTHER_CORE_API std::optional<std::string> peek_config(std::string_view text, std::string_view name, std::string_view section,
                                                        std::string_view key);

}  // namespace panther
