#include "launcher/status/metrics_lines.h"

#include <limits>
#include <nlohmann/json.hpp>

namespace panther::launcher {
namespace {

using nlohmann::json;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void append(Curve& curve, std::int64_t step, double value) {
  while (!curve.empty() && curve.back().first >= step) curve.pop_back();
  curve.emplace_back(step, value);
}

bool take_record(const json& record, MetricsLines& lines) {
  if (!record.is_object() || !record.contains("step") || !record["step"].is_number_integer()) return false;
  lines.step = record["step"].get<std::int64_t>();
  for (const auto& [tag, value] : record.items()) {
    if (tag == "step" || !(value.is_number() || value.is_null())) continue;
    const double number = value.is_null() ? kNan : value.get<double>();
    if (tag == "time") {
      lines.time = number;
      continue;
    }
    lines.latest[tag] = number;
    if (tag == "train/loss") append(lines.losses, lines.step, number);
    if (tag == "val/loss") append(lines.validation, lines.step, number);
  }
  return true;
}

}  // namespace

MetricsLines read_metrics(std::string_view text, bool cut) {
  MetricsLines lines;
  if (cut) text.remove_prefix(std::min(text.size(), text.find('\n') == text.npos ? text.size() : text.find('\n') + 1));
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const bool whole = end != text.npos;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(whole ? end + 1 : text.size());
    if (line.empty()) continue;
    const json record = json::parse(line, nullptr, false);
    if (!take_record(record, lines) && whole) ++lines.unreadable;
  }
  return lines;
}

RunView view_of_metrics(const MetricsLines& lines, const FolderFacts& facts) {
  const auto latest = [&](const char* tag, double otherwise) {
    const auto found = lines.latest.find(tag);
    return found == lines.latest.end() ? otherwise : found->second;
  };
  const auto whole = [&](const char* tag) {
    const double value = latest(tag, 0);
    return std::isfinite(value) ? static_cast<std::int64_t>(value) : 0;
  };
  RunView run;
  run.state = "unknown";
  run.host = facts.host;
  run.backend = facts.backend;
  run.exchange = facts.exchange;
  run.unit = "tokens";
  run.ranks = facts.ranks;
  run.steps = facts.steps;
  run.step = lines.step;
  run.updated = lines.time;
  run.loss = latest("train/loss", kNan);
  run.learning_rate = latest("train/lr", kNan);
  run.gradient_norm = latest("train/grad_norm", kNan);
  run.tokens_per_second = latest("perf/tokens_per_s", kNan);
  run.skipped = whole("train/skipped");
  run.bytes_sent = whole("comm/bytes");
  const double ratio = latest("comm/compression_ratio", 0);
  run.bytes_dense_f32 = std::isfinite(ratio) ? std::llround(ratio * static_cast<double>(run.bytes_sent)) : 0;
  const double memory = latest("memory/max_active_gib", 0) * (1 << 30);
  run.memory_bytes = std::isfinite(memory) ? std::llround(memory) : 0;
  for (const auto& [part, tag] : {std::pair{"data", "data/wait_s"},
                                  {"forward", "perf/forward_s"},
                                  {"backward", "perf/backward_s"},
                                  {"exposed", "comm/exposed_s"},
                                  {"optimizer", "perf/optimizer_s"}}) {
    run.step_seconds.emplace_back(part, latest(tag, 0));
  }
  run.losses = lines.losses;
  run.validation = lines.validation;
  run.checkpoint_step = facts.checkpoint_step;
  run.checkpoint_time = facts.checkpoint_time;
  return run;
}

}  // namespace panther::launcher
