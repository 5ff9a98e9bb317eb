#pragma once
// Structured log lines: `event key=value ...`. Rank and node are added by the sink. spdlog lives in log.cpp only.
#include <initializer_list>
#include <string>
#include <string_view>

#include "core/export.h"
#include "core/text.h"

namespace panther {

/// error: a human must act; warn: we acted; info: once per phase; debug: off by default.
enum class LogLevel { debug, info, warn, error };

struct LogField {
  template <class T>
  LogField(std::string_view field_key, const T& field_value) : key(field_key), value(concat(field_value)) {}
  std::string key;
  std::string value;
};

struct LogOptions {
  LogLevel level = LogLevel::info;  ///< overridden by PANTHER_LOG=debug|info|warn|error
  int rank = -1;                    ///< printed when >= 0
  std::string node = {};            ///< printed when not empty
  std::string file = {};            ///< also append to this file when not empty
  bool json = false;                ///< one JSON object per line instead of text
};

/// Sets the process-wide sink. Call once from a main before threads start; the default sink is plain stderr.
PANTHER_CORE_API void configure_log(const LogOptions& options);
PANTHER_CORE_API bool log_enabled(LogLevel level) noexcept;
PANTHER_CORE_API void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {}) noexcept;

inline void log_debug(std::string_view e, std::initializer_list<LogField> f = {}) noexcept { log(LogLevel::debug, e, f); }
inline void log_info(std::string_view e, std::initializer_list<LogField> f = {}) noexcept { log(LogLevel::info, e, f); }
inline void log_warn(std::string_view e, std::initializer_list<LogField> f = {}) noexcept { log(LogLevel::warn, e, f); }
inline void log_error(std::string_view e, std::initializer_list<LogField> f = {}) noexcept { log(LogLevel::error, e, f); }

}  // namespace panther
