#include "core/log.h"

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <vector>

#include "core/env.h"
#include "core/error.h"
#include "core/json_text.h"

namespace panther {

namespace {

struct LogState {
  std::shared_ptr<spdlog::logger> logger;
  std::string place;  // " rank=0 node=n1" or ,"rank":0,"node":"n1"
  bool json = false;
};

spdlog::level::level_enum spdlog_level(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warn: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

LogLevel parse_level(const std::string& text) {
  if (text == "debug") return LogLevel::debug;
  if (text == "info") return LogLevel::info;
  if (text == "warn") return LogLevel::warn;
  if (text == "error") return LogLevel::error;
  fail(ErrorCode::InvalidArgument, "PANTHER_LOG='", text, "' is not a log level; use debug, info, warn or error");
}

/// A value as it is, or quoted when it would not read back as one word.
std::string word(const std::string& value) {
  const bool plain = !value.empty() && value.find_first_of(" \t\r\n\"=\\") == std::string::npos;
  return plain ? value : json_quote(value);
}

std::string place_text(const LogOptions& options) {
  std::string place;
  if (options.rank >= 0) place += options.json ? concat(",\"rank\":", options.rank) : concat(" rank=", options.rank);
  if (!options.node.empty()) place += options.json ? concat(",\"node\":", json_quote(options.node)) : concat(" node=", word(options.node));
  return place;
}

LogState make_state(const LogOptions& options, LogLevel level) {
  std::vector<spdlog::sink_ptr> sinks;
  // Colour only where a person looks at a terminal and NO_COLOR (no-color.org: set and not empty) does not forbid it.
  const bool no_color = options.json || !env_value("NO_COLOR").value_or("").empty();
  sinks.push_back(std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(no_color ? spdlog::color_mode::never
                                                                                    : spdlog::color_mode::automatic));
  if (!options.file.empty()) {
    try {
      sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file));
    } catch (const spdlog::spdlog_ex& error) {
      fail(ErrorCode::Io, "cannot open log file '", options.file, "': ", error.what(), "; choose a folder that can be written");
    }
  }
  auto logger = std::make_shared<spdlog::logger>("panther", sinks.begin(), sinks.end());
  logger->set_level(spdlog_level(level));
  logger->flush_on(spdlog::level::info);
  // %^..%$ is the coloured range. The JSON form adds its own braces so that a line is one object.
  logger->set_pattern(options.json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l"%v})" : "%Y-%m-%d %H:%M:%S.%e %^%-5!l%$%v");
  return {logger, place_text(options), options.json};
}

LogLevel default_level(LogLevel otherwise) noexcept {
  try {
    const auto text = env_value("PANTHER_LOG");
    return text && !text->empty() ? parse_level(*text) : otherwise;
  } catch (...) {
    return otherwise;
  }
}

std::mutex& state_mutex() {
  static std::mutex mutex;
  return mutex;
}

// Leaked on purpose: other static destructors may still log.
std::shared_ptr<const LogState>& state_slot() {
  static auto* slot = new std::shared_ptr<const LogState>(
      std::make_shared<const LogState>(make_state(LogOptions{}, default_level(LogLevel::info))));
  return *slot;
}

std::shared_ptr<const LogState> current_state() {
  const std::lock_guard lock(state_mutex());
  return state_slot();
}

std::string line_text(const LogState& state, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = state.place;
  if (state.json) {
    line += concat(",\"event\":", json_quote(event));
    for (const LogField& field : fields) line += concat(",", json_quote(field.key), ":", json_quote(field.value));
  } else {
    line += concat(" ", event);
    for (const LogField& field : fields) line += concat(" ", field.key, "=", word(field.value));
  }
  return line;
}

}  // namespace

void configure_log(const LogOptions& options) {
  LogLevel level = options.level;
  const auto text = env_value("PANTHER_LOG");
  if (text && !text->empty()) level = parse_level(*text);
  auto state = std::make_shared<const LogState>(make_state(options, level));
  const std::lock_guard lock(state_mutex());
  state_slot() = std::move(state);
}

bool log_enabled(LogLevel level) noexcept {
  try {
    return current_state()->logger->should_log(spdlog_level(level));
  } catch (...) {
    return false;
  }
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) noexcept {
  try {
    const auto state = current_state();
    if (!state->logger->should_log(spdlog_level(level))) return;
    state->logger->log(spdlog_level(level), "{}", line_text(*state, event, fields));
  } catch (...) {
    // A log line that cannot be written must never take the program down.
  }
}

}  // namespace panther
