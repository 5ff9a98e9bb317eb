#pragma once
// Learning-rate schedules: pure functions of the step.
#include <cstdint>
#include <string>

#include "core/fields.h"
#include "runtime/export.h"

namespace panther::runtime {

struct PANTHER_RUNTIME_API ScheduleConfig {
  std::string kind = "cosine";          ///< constant | cosine | wsd (warm-up, stable, decay)
  std::int64_t warmup_steps = 100;
  double final_fraction = 0.1;          ///< of the peak, at the last step
  double decay_fraction = 0.2;          ///< wsd: share of the steps that decay
  void fields(FieldVisitor& v);
};

/// Multiplier of the peak rate at `step` (0-based) of `total_steps`. Pure.
///   warm-up    (step + 1) / warmup_steps for step < warmup_steps, whatever the kind
///   constant   1
///   cosine     half a cosine from 1 at the first step after the warm-up to final_fraction at the last step
///   wsd        1, then over the last decay_fraction of the steps final + (1 - final) (1 - sqrt(k / n)) at the k-th of n (Haegele et al.,
///              arXiv 2405.18392); the last step has final_fraction
/// From total_steps on the value of the last step holds.
PANTHER_RUNTIME_API double schedule_factor(const ScheduleConfig& config, std::int64_t step, std::int64_t total_steps);

}  // namespace panther::runtime
