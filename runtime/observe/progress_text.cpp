#include "runtime/observe/progress_text.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/table.h"
#include "core/text.h"

namespace panther::runtime {
namespace {

std::string formatted(const char* format, double value) {
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

double share_done(const ProgressReport& report, const ProgressLook& look) {
  return look.total_steps <= 0 ? 1.0 : std::clamp(static_cast<double>(report.step) / static_cast<double>(look.total_steps), 0.0, 1.0);
}

std::string eta(const ProgressLook& look) { return look.eta_seconds < 0 ? "ETA ..." : "ETA " + human_seconds(look.eta_seconds); }

std::string speed(const ProgressReport& report, const ProgressLook& look) {
  return human_count(report.tokens_per_second) + " " + look.unit + "/s";
}

}  // namespace

std::string progress_line(const ProgressReport& report, const ProgressLook& look) {
  std::string line = concat("step ", report.step, "/", look.total_steps, formatted(" (%.0f %%)", 100 * share_done(report, look)),
                            formatted("  loss %.4f", report.loss), formatted("  lr %.2e", report.lr),
                            formatted("  grad %.3g", report.gradient_norm), "  ", speed(report, look), "  ",
                            human_seconds(report.step_seconds), "/step");
  if (report.mfu_percent > 0) line += formatted("  MFU %.1f %%", report.mfu_percent);
  if (report.bytes_sent > 0) line += "  sent " + human_bytes(static_cast<double>(report.bytes_sent)) + "/step";
  return report.step < look.total_steps ? line + "  " + eta(look) : line;
}

std::string progress_bar(const ProgressReport& report, const ProgressLook& look) {
  constexpr std::size_t kSmallestBar = 10, kLargestBar = 30;
  const double share = share_done(report, look);
  const std::string percent = formatted("%3.0f %% ", 100 * share);
  // In the order in which they are dropped, last first, when the terminal is narrow.
  std::vector<std::string> facts = {concat(report.step, "/", look.total_steps), formatted("loss %.4f", report.loss), eta(look), speed(report, look),
                                    human_seconds(report.step_seconds) + "/step", formatted("lr %.1e", report.lr),
                                    formatted("grad %.2g", report.gradient_norm)};
  if (report.mfu_percent > 0) facts.push_back(formatted("MFU %.1f %%", report.mfu_percent));
  if (report.bytes_sent > 0) facts.push_back("sent " + human_bytes(static_cast<double>(report.bytes_sent)) + "/step");
  const std::size_t room = std::max<std::size_t>(look.columns, 2) - 1;  // the last column would wrap on some terminals
  std::string text;
  for (const std::string& fact : facts) {
    const std::size_t needed = display_width(percent) + kSmallestBar + display_width(text) + 2 + display_width(fact);
    if (needed > room) break;
    text += "  " + fact;
  }
  const std::size_t taken = display_width(percent) + display_width(text);
  if (taken + kSmallestBar > room) return percent.substr(0, room);
  const std::size_t bar = std::min(kLargestBar, room - taken);
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(bar));
  std::string done, left;
  for (std::size_t i = 0; i < bar; ++i) (i < filled ? done : left) += look.utf8 ? "━" : i < filled ? "#" : "-";
  if (look.colour) return percent + "\x1b[32m" + done + "\x1b[90m" + left + "\x1b[0m" + text;
  if (look.utf8) std::fill(left.begin(), left.end(), ' '), left.resize(bar - filled, ' ');
  return percent + done + left + text;
}

}  // namespace panther::runtime
