#pragma once
// Whether a process of which only the number is known still is the one that was meant.
#include <cstdint>
#include <optional>
#include <string_view>

#include "launcher/status/run_view.h"

namespace panther::launcher {

struct ProcessStat {
  char state = '?';               ///< R S D T Z X as in /proc/<pid>/stat
  std::uint64_t start_ticks = 0;  ///< after boot
};

/// The text of /proc/<pid>/stat; nullopt when it is something else. Pure.
std::optional<ProcessStat> parse_process_stat(std::string_view text);

/// A number may be given away again: a process that began after `run` wrote last is another one. A zombie counts as gone.
Life life_of(const RunView& run);

}  // namespace panther::launcher
