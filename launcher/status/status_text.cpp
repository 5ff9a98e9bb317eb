#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "core/table.h"
#include "core/text.h"
#include "launcher/status/run_view.h"

namespace panther::launcher {
namespace {

/// A run writes every second; an evaluation or a checkpoint takes longer.
constexpr double kSilentSeconds = 120;
/// Without a screen's height to go by.
constexpr std::size_t kBucketsShown = 12;
constexpr std::size_t kPlanShown = 4;

std::string formatted(const char* format, double value) {
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string coloured(const std::string& text, const char* code, bool colour) {
  return colour ? concat("\033[", code, "m", text, "\033[0m") : text;
}

std::string bar(double share, std::size_t width, bool utf8) {
  const auto full = static_cast<std::size_t>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  std::string result;
  for (std::size_t i = 0; i < width; ++i) result += i < full ? (utf8 ? "█" : "#") : (utf8 ? "·" : ".");
  return result;
}

/// The first `columns` characters, the last of them '~' where more follow.
std::string cut_to(std::string line, std::size_t columns) {
  if (display_width(line) <= columns) return line;
  std::size_t bytes = 0;
  for (std::size_t characters = 0; bytes < line.size(); ++bytes) {
    if ((static_cast<unsigned char>(line[bytes]) & 0xc0) != 0x80 && characters++ == columns - 1) break;
  }
  return line.substr(0, bytes) + "~";
}

/// Lines of "name   text".
class Lines {
 public:
  explicit Lines(std::size_t columns) : columns_(columns) {}
  void add(std::string_view name, const std::string& text) {
    raw(concat(name, std::string(name.size() < kName ? kName - name.size() : 1, ' '), text));
  }
  void raw(std::string line) { lines_.push_back(cut_to(std::move(line), columns_)); }
  /// Already cut, with colours in it.
  void as_is(std::string line) { lines_.push_back(std::move(line)); }
  /// Words over as many lines as they need, the later ones indented.
  void wrap(const std::string& text) {
    std::string line;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find(' ', begin), text.size());
      const std::string word = text.substr(begin, end - begin);
      begin = end + 1;
      if (!line.empty() && display_width(line) + 1 + display_width(word) > columns_) {
        raw(line);
        line = "     " + word;
      } else {
        line += (line.empty() ? "  " : " ") + word;
      }
    }
    if (!line.empty()) raw(line);
  }
  std::size_t count() const { return lines_.size(); }
  std::string& last() { return lines_.back(); }
  std::string text() const { return lines_.empty() ? "" : join(lines_, "\n") + "\n"; }

  static constexpr std::size_t kName = 12;

 private:
  std::size_t columns_;
  std::vector<std::string> lines_;
};

/// In whole seconds.
std::string span(double seconds) {
  return seconds < 60 ? concat(static_cast<int>(std::max(0.0, seconds)), " s") : human_seconds(std::floor(seconds));
}

/// The end of a path that does not fit.
std::string path_in(const std::string& path, std::size_t room) {
  return path.size() <= room ? path : concat("~", path.substr(path.size() - room + 1));
}

/// "-" where there is no such figure.
std::string figure(const char* format, double value) { return value < 0 ? "-" : std::isfinite(value) ? formatted(format, value) : "nan"; }

std::string ms(double seconds) { return formatted(seconds < 0.01 ? "%.2f" : "%.1f", 1e3 * seconds); }

std::string loss_of(double value) { return std::isfinite(value) ? formatted("%.4f", value) : "not finite"; }

// ---- buckets

struct Column {
  const char* name;
  int keep;  ///< the least goes first where the screen is narrow
  std::string (*cell)(const BucketView&);
};

constexpr std::array<Column, 11> kColumns{{
    {"codec", 9, [](const BucketView& b) { return b.codec; }},
    {"elements", 0, [](const BucketView& b) { return human_count(static_cast<double>(b.elements)); }},
    {"predicted", 5, [](const BucketView& b) { return human_bytes(static_cast<double>(b.bytes_predicted)); }},
    {"counted", 7, [](const BucketView& b) { return human_bytes(static_cast<double>(b.bytes_counted)); }},
    {"encode", 3, [](const BucketView& b) { return ms(b.encode_seconds); }},
    {"wire", 6, [](const BucketView& b) { return ms(b.collective_seconds); }},
    {"decode", 2, [](const BucketView& b) { return ms(b.decode_seconds); }},
    {"exposed", 8, [](const BucketView& b) { return ms(b.exposed_seconds); }},
    {"|e|/|g|", 6, [](const BucketView& b) { return figure("%.2f", b.residual_ratio); }},
    {"error", 4, [](const BucketView& b) { return figure("%.3f", b.relative_error); }},
    {"rank", 1, [](const BucketView& b) { return figure("%.1f", b.effective_rank); }},
}};

std::vector<std::string> bucket_lines(const RunView& run, const std::vector<std::size_t>& shown, std::size_t columns) {
  for (int least = 0;; ++least) {
    std::vector<std::string> header{"#"};
    for (const Column& column : kColumns)
      if (column.keep >= least) header.emplace_back(column.name);
    std::vector<std::vector<std::string>> rows;
    for (const std::size_t i : shown) {
      rows.push_back({concat(i)});
      for (const Column& column : kColumns)
        if (column.keep >= least) rows.back().push_back(column.cell(run.buckets[i]));
    }
    std::vector<std::string> lines;
    std::size_t widest = 0;
    const std::string table = format_columns(header, rows);
    for (std::size_t begin = 0; begin < table.size();) {
      const std::size_t end = table.find('\n', begin);
      lines.push_back(table.substr(begin, end - begin));
      widest = std::max(widest, display_width(lines.back()));
      begin = end + 1;
    }
    if (widest <= columns || least == 8) return lines;
  }
}

/// In issue order; where not all fit, those the step waited for longest, then those longest on the wire.
std::vector<std::size_t> choose_buckets(const RunView& run, std::size_t room) {
  std::vector<std::size_t> order(run.buckets.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (order.size() <= room) return order;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const BucketView &x = run.buckets[a], &y = run.buckets[b];
    return std::pair(x.exposed_seconds, x.collective_seconds) > std::pair(y.exposed_seconds, y.collective_seconds);
  });
  order.resize(room);
  std::sort(order.begin(), order.end());
  return order;
}

void add_buckets(Lines& lines, const RunView& run, const StatusLook& look) {
  if (run.buckets.empty()) return;
  const std::size_t fixed = lines.count() + 5 + (run.plan.empty() ? 0 : 3);
  const std::size_t fits = look.rows == 0 ? kBucketsShown : look.rows > fixed + 3 ? look.rows - fixed : 3;
  const std::vector<std::size_t> shown = choose_buckets(run, look.all_buckets ? run.buckets.size() : fits);
  std::int64_t predicted = 0, counted = 0;
  for (const BucketView& bucket : run.buckets) predicted += bucket.bytes_predicted, counted += bucket.bytes_counted;
  lines.raw("");
  lines.raw(concat(run.buckets.size(), run.buckets.size() == 1 ? " bucket" : " buckets", ", predicted ",
                   human_bytes(static_cast<double>(predicted)), ", counted ", human_bytes(static_cast<double>(counted)), "; times in ms"));
  for (std::string& line : bucket_lines(run, shown, look.columns)) lines.raw(std::move(line));
  if (shown.size() < run.buckets.size())
    lines.raw(concat("the ", shown.size(), " waited for longest; --buckets shows all ", run.buckets.size()));
}

void add_plan(Lines& lines, const RunView& run, const StatusLook& look) {
  if (run.plan.empty()) return;
  const std::size_t left = look.rows > lines.count() + 3 ? look.rows - lines.count() - 3 : 1;
  const std::size_t shown = look.all_buckets ? run.plan.size() : std::min(run.plan.size(), look.rows == 0 ? kPlanShown : left);
  lines.raw("");
  const std::string part = concat(" (", shown, " of ", run.plan.size(), " reasons; --buckets shows all)");
  lines.raw(concat("plan since step ", run.plan_step, shown < run.plan.size() ? part : ""));
  for (std::size_t i = 0; i < shown; ++i) look.rows == 0 || look.all_buckets ? lines.wrap(run.plan[i]) : lines.raw("  " + run.plan[i]);
}

// ---- the run

const char* colour_of(const std::string& state) {
  if (state == "running") return "36";
  if (state == "finished") return "32";
  return state == "stopped" || state == "unknown" ? "33" : "31";
}

/// The state is its first word.
std::string state_line(const RunView& run, const Beside& beside, const std::string& state, double now) {
  std::string text = state;
  if (state == "running" && beside.life == Life::elsewhere) text += concat(" on ", run.host, " as far as its file says");
  if (state == "running" && run.started > 0) text += concat(" for ", span(now - run.started));
  if (state == "died") text += concat(" (process ", run.pid, " on ", run.host, " is gone)");
  if (state == "silent") text += concat(" for ", span(now - run.updated), ", process ", run.pid, " on ", run.host);
  if (state == "unknown") text += " (no status.json, only metrics.jsonl)";
  if (run.ranks > 0) text += concat(", ", run.ranks, run.ranks == 1 ? " rank" : " ranks", run.backend.empty() ? "" : " over ", run.backend);
  if (state != "running" && state != "silent" && run.updated > 0) text += concat(", last written ", span(now - run.updated), " ago");
  return text;
}

void add_curve(Lines& lines, const char* name, double now, const Curve& curve, const StatusLook& look) {
  std::string text = loss_of(now);
  if (!curve.empty()) {
    std::vector<double> values;
    for (const auto& [step, value] : curve) values.push_back(value);
    text.resize(std::max<std::size_t>(text.size(), 8), ' ');
    const bool several = curve.size() > 1;
    text += concat(sparkline(values, std::clamp<std::size_t>(look.columns / 3, 8, 32), look.utf8), several ? "  steps " : "  step ",
                   curve.front().first);
    if (several) text += concat(" to ", curve.back().first);
  }
  lines.add(name, text);
}

constexpr std::array<const char*, 5> kStripColours{"35", "36", "34", "31", "32"};

/// Where a step's time goes: `room` first letters of its parts.
std::string step_strip(const RunView& run, double total, std::size_t room, bool colour) {
  std::string strip;
  double passed = 0;
  for (std::size_t i = 0; i < run.step_seconds.size(); ++i) {
    const auto place = [&](double seconds) { return static_cast<std::size_t>(std::lround(seconds / total * static_cast<double>(room))); };
    const std::size_t begin = place(passed);
    passed += run.step_seconds[i].second;
    const std::string piece(place(passed) - begin, run.step_seconds[i].first.front());
    if (!piece.empty()) strip += coloured(piece, kStripColours[i % kStripColours.size()], colour);
  }
  return strip;
}

void add_step_time(Lines& lines, const RunView& run, const StatusLook& look) {
  double total = 0;
  std::string parts;
  for (const auto& [name, seconds] : run.step_seconds) {
    total += seconds;
    parts += concat(parts.empty() ? "" : "  ", name, " ", ms(seconds));
  }
  std::string speed = concat(human_count(run.tokens_per_second), " ", run.unit, "/s   ", human_seconds(total), "/step   lr ",
                             formatted("%.2e", run.learning_rate), "   grad ",
                             std::isfinite(run.gradient_norm) ? formatted("%.3g", run.gradient_norm) : "not finite");
  if (!(total > 0) || !std::isfinite(total)) speed = "no step yet";
  lines.add("speed", speed);
  if (!(total > 0) || !std::isfinite(total)) return;
  lines.add("step ms", parts);
  if (look.columns < Lines::kName + 12) return;
  const std::size_t room = std::min<std::size_t>(look.columns - Lines::kName - 2, 80);
  lines.as_is(std::string(Lines::kName, ' ') + step_strip(run, total, room, look.colour));
}

void add_exchange(Lines& lines, const RunView& run) {
  if (run.ranks <= 1) return;
  std::string sent = concat(run.exchange, "   ", human_bytes(static_cast<double>(run.bytes_sent)), " a step from rank 0");
  if (run.bytes_inside > 0) sent += concat(", ", human_bytes(static_cast<double>(run.bytes_inside)), " of it inside the node");
  if (run.bytes_sent > 0 && run.bytes_dense_f32 > 0) sent += concat(", as f32 ", human_bytes(static_cast<double>(run.bytes_dense_f32)));
  lines.add("exchange", sent);
}

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
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (const double value : shown) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  static constexpr std::array<const char*, 8> kHeights{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string line;
  for (const double value : shown) {
    if (!std::isfinite(value)) {
      line += '?';
      continue;
    }
    const auto height = static_cast<std::size_t>(std::lround((high > low ? (value - low) / (high - low) : 0) * 7));
    line += utf8 ? std::string(kHeights[height]) : concat(height);
  }
  return line;
}

std::string status_text(const RunView& run, const Beside& beside, const StatusLook& look) {
  Lines lines(look.columns);
  const std::string state = state_of(run, beside.life, look.now);
  lines.add("run", path_in(beside.folder, look.columns - Lines::kName));
  lines.add("state", state_line(run, beside, state, look.now));
  if (look.colour) lines.last().replace(Lines::kName, state.size(), coloured(state, colour_of(state), true));
  if (!beside.why.empty()) lines.add("why", beside.why);
  if (state == "died" && !beside.logs.empty()) lines.add("output", path_in(beside.logs, look.columns - Lines::kName));
  const double share = run.steps > 0 ? static_cast<double>(run.step) / static_cast<double>(run.steps) : 0;
  std::string progress = concat(run.step, "/", run.steps > 0 ? concat(run.steps) : "?");
  if (run.steps > 0)
    progress += concat(formatted("  %3.0f %%  ", 100 * share), bar(share, std::clamp<std::size_t>(look.columns / 4, 8, 40), look.utf8));
  if (state == "running" && run.eta_seconds >= 0) progress += concat("  ETA ", human_seconds(run.eta_seconds));
  lines.add("step", progress);
  if (run.step > 0) add_curve(lines, "loss", run.loss, run.losses, look);
  if (!run.validation.empty()) add_curve(lines, "validation", run.validation.back().second, run.validation, look);
  add_step_time(lines, run, look);
  if (run.memory_bytes > 0) lines.add("memory", concat(human_bytes(static_cast<double>(run.memory_bytes)), " (rank 0)"));
  if (run.skipped > 0)
    lines.add("skipped", concat(run.skipped, run.skipped == 1 ? " step that was not finite" : " steps that were not finite"));
  add_exchange(lines, run);
  const std::string age = run.checkpoint_time > 0 ? concat(", ", span(look.now - run.checkpoint_time), " ago") : "";
  lines.add("checkpoint", run.checkpoint_step < 0 ? "none yet" : concat("step ", run.checkpoint_step, age));
  add_buckets(lines, run, look);
  add_plan(lines, run, look);
  return lines.text();
}

}  // namespace panther::launcher
