#pragma once
// Pieces of JSON for lines that are written by hand (metrics, logs, traces).
#include <string>
#include <string_view>

#include "core/export.h"

namespace panther {

/// `text` as a JSON string with its quotes. Control characters, quotes and backslashes are escaped; bytes that are not
/// UTF-8 become U+FFFD, so the result is valid JSON whatever came in.
PANTHER_CORE_API std::string json_quote(std::string_view text);
/// The shortest decimal that reads back to the same double; `null` for nan and infinities, which JSON does not have.
PANTHER_CORE_API std::string json_number(double value);

}  // namespace panther
