#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/table.h"
#include "core/text.h"
#include "launcher/status/run_view.h"

namespace panther::launcher {
namespace {

/// A run writes every second; an evaluation or a checkpoint takes longer.
constexpr double kSilentSeconds = 120;

std::string formatted(const char* format, double value) {
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string coloured(const std::string& text, const char* code, bool colour) { return colour ? concat("\033[", code, "m", text, "\033[0m") : text; }

std::string bar(double share, std::size_t width, bool utf8) {
  const auto full = static_cast<std::size_t>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  std::string result;
  for (std::size_t i = 0; i < width; ++i) result += i < full ? (utf8 ? "█" : "#") : (utf8 ? "·" : ".");
  return result;
}

/// Lines of "name   text".
class Lines {
 public:
  explicit Lines(std::size_t columns) : columns_(columns) {}
  void add(std::string_view name, const std::string& text) { raw(concat(name, std::string(name.size() < kName ? kName - name.size() : 1, ' '), text)); }
  /// Cut at the screen's edge.
  void raw(std::string line) {
    if (display_width(line) > columns_) {
      std::size_t bytes = 0;
      for (std::size_t characters = 0; bytes < line.size(); ++bytes) {
        if ((static_cast<unsigned char>(line[bytes]) & 0xc0) != 0x80 && characters++ == columns_ - 1) break;
      }
      line = line.substr(0, bytes) + "~";
    }
    text_ += line + "\n";
  }
  const std::string& text() const { return text_; }

  static constexpr std::size_t kName = 12;

 private:
  std::size_t columns_;
  std::string text_;
};

std::string ago(double time, double now) { return concat(human_seconds(std::max(0.0, std::floor(now - time))), " ago"); }

std::string figure(const char* format, double value) { return value < 0 ? "-" : formatted(format, value); }

std::string ms(double seconds) { return formatted("%.2f", 1e3 * seconds); }

std::string bucket_table(const RunView& run) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < run.buckets.size(); ++i) {
    const BucketView& b = run.buckets[i];
    rows.push_back({concat(i), b.codec, human_count(static_cast<double>(b.elements)), human_bytes(static_cast<double>(b.bytes_predicted)), human_bytes(static_cast<double>(b.bytes_counted)),
                    ms(b.encode_seconds), ms(b.collective_seconds), ms(b.decode_seconds), ms(b.exposed_seconds), figure("%.2f", b.residual_ratio), figure("%.3f", b.relative_error),
                    figure("%.1f", b.effective_rank)});
  }
  return format_columns({"#", "codec", "elements", "predicted", "counted", "encode", "wire", "decode", "exposed", "|e|/|g|", "error", "rank"}, rows);
}

std::string colour_of(const std::string& state) { return state == "running" ? "36" : state == "finished" ? "32" : state == "stopped" ? "33" : "31"; }

}  // namespace

std::string state_of(const RunView& run, Life life, double now) {
  if (run.state != "running") return run.state;
  if (life == Life::gone) return "died";
  return now - run.updated > kSilentSeconds ? "silent" : "running";
}

std::string sparkline(const std::vector<double>& values, std::size_t width, bool utf8) {
  if (values.empty() || width == 0) return {};
  std::vector<double> shown;
  const std::size_t count = std::min(width, values.size());
  for (std::size_t i = 1; i <= count; ++i) shown.push_back(values[i * values.size() / count - 1]);
  const auto [low, high] = std::minmax_element(shown.begin(), shown.end());
  static constexpr std::array<const char*, 8> kHeights{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string line;
  for (const double value : shown) {
    const double share = *high > *low ? (value - *low) / (*high - *low) : 0;
    const auto height = static_cast<std::size_t>(std::lround(share * 7));
    line += utf8 ? std::string(kHeights[height]) : concat(height);
  }
  return line;
}

std::string status_text(const RunView& run, const std::string& folder, Life life, const std::string& why, const StatusLook& look) {
  Lines lines(look.columns);
  const std::string state = state_of(run, life, look.now);
  std::string text = concat(folder, "   ", state);
  if (state == "running" && life == Life::elsewhere) text += concat(" on ", run.host, " as far as its file says");
  if (state == "died") text += concat(" (process ", run.pid, " on ", run.host, " is gone)");
  if (state == "silent") text += concat(": nothing written for ", human_seconds(std::floor(look.now - run.updated)), ", process ", run.pid, " on ", run.host);
  text += concat(", ", run.ranks, run.ranks == 1 ? " rank" : " ranks", " over ", run.backend);
  lines.raw(text);
  if (!why.empty()) lines.add("why", why);
  const double share = run.steps > 0 ? static_cast<double>(run.step) / static_cast<double>(run.steps) : 0;
  const std::size_t width = std::clamp<std::size_t>(look.columns / 4, 8, 40);
  std::string progress = concat(run.step, "/", run.steps, formatted("  %3.0f %%  ", 100 * share), bar(share, width, look.utf8));
  if (state == "running" && run.eta_seconds >= 0) progress += concat("  ETA ", human_seconds(run.eta_seconds));
  lines.add("step", progress);
  std::string loss = formatted("%.4f", run.loss);
  if (!run.validation.empty()) {
    std::vector<double> curve;
    for (const auto& [step, value] : run.validation) curve.push_back(value);
    loss += concat("   validation ", formatted("%.4f", curve.back()), " at step ", run.validation.back().first, "  ", sparkline(curve, 24, look.utf8));
  }
  lines.add("loss", loss);
  double total = 0;
  std::string parts;
  for (const auto& [name, seconds] : run.step_seconds) {
    total += seconds;
    parts += concat(parts.empty() ? "" : "  ", name == "exposed" ? "exchange exposed" : name, " ", ms(seconds));
  }
  lines.add("speed", concat(human_count(run.tokens_per_second), " ", run.unit, "/s   ", human_seconds(total), "/step   lr ", formatted("%.2e", run.learning_rate), "   grad ",
                            formatted("%.3g", run.gradient_norm)));
  lines.add("step ms", parts);
  if (total > 0) {
    std::string strip;
    const char letters[] = {'d', 'f', 'b', 'x', 'o'};
    const std::size_t room = std::clamp<std::size_t>(look.columns - Lines::kName - 2, 10, 80);
    for (std::size_t i = 0; i < run.step_seconds.size(); ++i) {
      strip += std::string(static_cast<std::size_t>(std::lround(run.step_seconds[i].second / total * static_cast<double>(room))), letters[i % 5]);
    }
    lines.add("", strip);
  }
  lines.add("memory", concat(human_bytes(static_cast<double>(run.memory_bytes)), " (rank 0)", run.skipped > 0 ? concat("   skipped ", run.skipped, " steps that were not finite") : ""));
  if (run.ranks > 1) {
    std::string sent = concat(human_bytes(static_cast<double>(run.bytes_sent)), " by rank 0");
    if (run.bytes_inside > 0) sent += concat(", ", human_bytes(static_cast<double>(run.bytes_inside)), " of it inside the node");
    if (run.bytes_sent > 0) sent += formatted(", f32 would be %.2g times that", static_cast<double>(run.bytes_dense_f32) / static_cast<double>(run.bytes_sent));
    lines.add("exchange", concat(run.exchange, "   ", sent));
  }
  lines.add("checkpoint", run.checkpoint_step < 0 ? "none yet" : concat("step ", run.checkpoint_step, ", ", ago(run.checkpoint_time, look.now)));
  std::string result = lines.text();
  const std::size_t at = folder.size() + 3;
  if (look.colour && result.compare(at, state.size(), state) == 0) result.replace(at, state.size(), coloured(state, colour_of(state).c_str(), true));
  if (!run.buckets.empty()) result += concat("\nbuckets of the exchange (ms; error and |e|/|g| are looked at every 16 steps)\n", bucket_table(run));
  if (!run.plan.empty()) {
    result += concat("\nplan since step ", run.plan_step, "\n");
    for (const std::string& sentence : run.plan) result += concat("  ", sentence, "\n");
  }
  return result;
}

}  // namespace panther::launcher
