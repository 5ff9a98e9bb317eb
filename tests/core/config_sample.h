#pragma once
// A configuration with one of everything, for the tests of reading, writing and errors.
#include <cstdint>
#include <string>
#include <vector>

#include "core/config_file.h"

namespace panther::test {

struct RuleConfig {
  std::string match = "*";
  std::int64_t sketch_size = 16;
  std::vector<double> scales = {1.0};
  void fields(FieldVisitor& v) {
    v.field("match", match, {.help = "names"});
    v.field("sketch_size", sketch_size, {.help = "R", .min = 1, .max = 1048576});
    v.field("scales", scales, {.help = "one per epoch"});
  }
  bool operator==(const RuleConfig&) const = default;
};

struct ScheduleConfig {
  std::string kind = "constant";
  double warmup = 0;
  void fields(FieldVisitor& v) {
    v.field("kind", kind, {.help = "shape of the learning rate", .choices = {"constant", "cosine", "stable_decay"}});
    v.field("warmup", warmup, {.help = "part of the run", .min = 0, .max = 1});
  }
  bool operator==(const ScheduleConfig&) const = default;
};

struct OptimConfig {
  double lr = 3e-3;
  bool fused = true;
  std::vector<double> betas = {0.9, 0.95};
  ScheduleConfig schedule;
  void fields(FieldVisitor& v) {
    v.section("schedule", schedule, "the learning rate over time");
    v.field("lr", lr, {.help = "peak learning rate", .min = 0});
    v.field("fused", fused, {.help = "one pass over all parameters"});
    v.field("betas", betas, {.help = "decay of the moments", .min = 0, .max = 1});
  }
  bool operator==(const OptimConfig&) const = default;
};

struct SampleConfig {
  std::string name = "run";
  std::int64_t seed = 0;
  std::vector<std::int64_t> widths = {};
  std::vector<std::string> tags = {"a"};
  OptimConfig optim;
  std::vector<RuleConfig> sketch = {RuleConfig{}};
  void fields(FieldVisitor& v) {
    v.field("name", name, {.help = "name of the run"});
    v.section("optim", optim, "how parameters change");
    v.field("seed", seed, {.help = "of everything random"});
    v.field("widths", widths, {.help = "of the layers", .unit = "features", .min = 1});
    v.field("tags", tags, {.help = "free text", .choices = {"a", "b", "c"}});
    v.sections("sketch", sketch, "what is sketched");
  }
  bool operator==(const SampleConfig&) const = default;
};

inline VisitFields visit_of(SampleConfig& config) {
  return [&config](FieldVisitor& v) { config.fields(v); };
}

struct Loaded {
  SampleConfig config;
  ConfigOrigin origin;
};

inline Loaded load(std::string_view text, const std::vector<std::string>& overrides = {}) {
  Loaded loaded;
  loaded.origin = load_config_text(text, "a.toml", overrides, visit_of(loaded.config));
  return loaded;
}

}  // namespace panther::test
