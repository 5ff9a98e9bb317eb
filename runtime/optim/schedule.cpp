#include "runtime/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace panther::runtime {
namespace {

double cosine(const ScheduleConfig& config, std::int64_t step, std::int64_t last_step) {
  const std::int64_t span = last_step - config.warmup_steps;
  if (span <= 0) return config.final_fraction;
  const double progress = static_cast<double>(step - config.warmup_steps) / static_cast<double>(span);
  return config.final_fraction + (1 - config.final_fraction) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

double warmup_stable_decay(const ScheduleConfig& config, std::int64_t step, std::int64_t total_steps) {
  const std::int64_t decay_steps = std::llround(config.decay_fraction * static_cast<double>(total_steps));
  const std::int64_t into_decay = step - (total_steps - decay_steps) + 1;
  if (into_decay <= 0) return 1;
  const double progress = static_cast<double>(into_decay) / static_cast<double>(decay_steps);
  return config.final_fraction + (1 - config.final_fraction) * (1 - std::sqrt(progress));
}

}  // namespace

void ScheduleConfig::fields(FieldVisitor& v) {
  v.field("kind", kind, {.help = "course of the learning rate; wsd = warm-up, stable, decay", .choices = {"constant", "cosine", "wsd"}});
  v.field("warmup_steps", warmup_steps, {.help = "linear rise to the peak rate", .unit = "steps", .min = 0});
  v.field("final_fraction", final_fraction, {.help = "share of the peak rate at the last step (cosine, wsd)", .min = 0, .max = 1});
  v.field("decay_fraction", decay_fraction, {.help = "wsd: share of the steps that decay", .min = 0, .max = 1});
}

double schedule_factor(const ScheduleConfig& config, std::int64_t step, std::int64_t total_steps) {
  PANTHER_CHECK(step >= 0 && total_steps >= 0, "step ", step, " of ", total_steps);
  if (step < config.warmup_steps) return static_cast<double>(step + 1) / static_cast<double>(config.warmup_steps);
  const std::int64_t last_step = std::max<std::int64_t>(total_steps - 1, 0);
  const std::int64_t held = std::min(step, last_step);
  if (config.kind == "constant" || held < config.warmup_steps) return 1;
  if (config.kind == "cosine") return cosine(config, held, last_step);
  PANTHER_REQUIRE(config.kind == "wsd", "unknown schedule.kind '", config.kind, "'; known: constant, cosine, wsd");
  return warmup_stable_decay(config, held, total_steps);
}

}  // namespace panther::runtime
