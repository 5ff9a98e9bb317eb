#pragma once
// `[comm.auto]` of the configuration: what `comm.exchange = "auto"` may choose and when.
#include <cstdint>
#include <string>
#include <vector>

#include "comm/export.h"
#include "core/fields.h"

namespace panther::comm {

/// The name under which a configuration asks for a plan instead of a codec.
inline constexpr const char* kAutomaticExchange = "auto";

struct PANTHER_COMM_API AutoSettings {
  double error_budget = 10;            ///< |residual| / |gradient| that a codec may have; 0: exact codecs and half
  double start_budget = 0.2;           ///< the same for the first first_plan steps
  std::vector<std::string> candidates{"none", "half", "quantize-8", "quantize-4", "quantize-3", "quantize-2", "quantize-1", "powersgd-1", "powersgd-2", "powersgd-4", "powersgd-8", "powersgd-16"};
  std::string plan;                    ///< pins the plan: one candidate for all buckets, or one per bucket
  std::int64_t first_plan = 4;         ///< steps within start_budget, timed
  std::int64_t settle = 32;            ///< steps whose plans may double the shortest step to lose less; then the share falls as 1 / step
  std::int64_t replan_every = 300;     ///< steps between plans at most
  double link_mbit = 0;                ///< > 0: plan for this rate instead of the measured one
  void fields(FieldVisitor& v);
};

PANTHER_COMM_API std::uint64_t settings_digest(const AutoSettings& settings);

}  // namespace panther::comm
