#include "comm/exchange/codec_settings.h"

#include <bit>

#include "comm/exchange/auto_settings.h"
#include "comm/exchange/node_levels.h"
#include "core/error.h"
#include "kernels/philox.h"

namespace panther::comm {
namespace {

/// Checks numbers against the ranges of their fields.
class RangeCheck final : public FieldVisitor {
 public:
  void field(std::string_view, bool&, const FieldInfo&) override {}
  void field(std::string_view name, std::int64_t& value, const FieldInfo& info) override { check(name, static_cast<double>(value), info); }
  void field(std::string_view name, double& value, const FieldInfo& info) override { check(name, value, info); }
  void field(std::string_view, std::string&, const FieldInfo&) override {}
  void field(std::string_view, std::vector<double>&, const FieldInfo&) override {}
  void field(std::string_view, std::vector<std::int64_t>&, const FieldInfo&) override {}
  void field(std::string_view, std::vector<std::string>&, const FieldInfo&) override {}

 protected:
  void begin_section(std::string_view, std::string_view) override {}
  void end_section() override {}
  void array_section(std::string_view, std::string_view, const ArrayAccess&) override {}

 private:
  static void check(std::string_view name, double value, const FieldInfo& info) {
    PANTHER_REQUIRE(value >= info.min && value <= info.max, "comm.codec.", name, " = ", value, " must lie between ", info.min, " and ", info.max, " (",
                    info.help, ")");
  }
};

/// Names and values of all fields, in order.
class Digest final : public FieldVisitor {
 public:
  std::uint64_t value = 0;
  void field(std::string_view name, bool& field, const FieldInfo&) override { add(name, field ? 1 : 0); }
  void field(std::string_view name, std::int64_t& field, const FieldInfo&) override { add(name, static_cast<std::uint64_t>(field)); }
  void field(std::string_view name, double& field, const FieldInfo&) override { add(name, std::bit_cast<std::uint64_t>(field)); }
  void field(std::string_view name, std::string& field, const FieldInfo&) override { add(name, hash_name(field.data(), field.size())); }
  void field(std::string_view name, std::vector<double>& fields, const FieldInfo&) override {
    for (const double field : fields) add(name, std::bit_cast<std::uint64_t>(field));
  }
  void field(std::string_view name, std::vector<std::int64_t>& fields, const FieldInfo&) override {
    for (const std::int64_t field : fields) add(name, static_cast<std::uint64_t>(field));
  }
  void field(std::string_view name, std::vector<std::string>& fields, const FieldInfo&) override {
    for (const std::string& field : fields) add(name, hash_name(field.data(), field.size()));
  }

 protected:
  void begin_section(std::string_view, std::string_view) override {}
  void end_section() override {}
  void array_section(std::string_view, std::string_view, const ArrayAccess&) override {}

 private:
  void add(std::string_view name, std::uint64_t bits) { value = mix64(mix64(value, hash_name(name.data(), name.size())), bits); }
};

}  // namespace

std::uint64_t settings_digest(const CodecSettings& settings) {
  Digest digest;
  CodecSettings(settings).fields(digest);
  return digest.value;
}

std::uint64_t settings_digest(const AutoSettings& settings) {
  Digest digest;
  AutoSettings(settings).fields(digest);
  return digest.value;
}

std::uint64_t settings_digest(const HierarchyConfig& config) {
  Digest digest;
  HierarchyConfig(config).fields(digest);
  return digest.value;
}

void AutoSettings::fields(FieldVisitor& v) {
  v.field("error_budget", error_budget, {.help = "|residual| / |gradient| that a codec may have: 0 allows exact codecs and half", .min = 0, .max = 1e6});
  v.field("start_budget", start_budget, {.help = "the same for the first first_plan steps, in which gradients are large and residuals would come late", .min = 0, .max = 1e6});
  v.field("candidates", candidates, {.help = "codecs to choose from: none, half, quantize-BITS, powersgd-RANK, powersgd-RANK-alternating, sign, top_k, random_k, srht, count_sketch, row_sparse"});
  v.field("plan", plan, {.help = "no choice: this candidate for all buckets, or one for each, separated by commas (reproducible runs)"});
  v.field("first_plan", first_plan, {.help = "steps within start_budget that are timed before the first plan within error_budget", .min = 1, .max = 1e9});
  v.field("settle", settle, {.help = "steps in which plans may double the shortest step to lose less; then the share falls as 1 / step, to a twentieth", .min = 1, .max = 1e9});
  v.field("replan_every", replan_every, {.help = "steps between plans, at most: as many as there were, until there are so many", .min = 1, .max = 1e12});
  v.field("link_mbit", link_mbit, {.help = "plan for a link of this rate; 0: measure it (a dry run then shows plans for several)", .unit = "Mb/s", .min = 0, .max = 1e9});
}

void CodecSettings::fields(FieldVisitor& v) {
  v.field("rank", rank, {.help = "powersgd: rank of what is sent of a matrix; 1 to 4 for small models, 32 and more for transformers", .min = 1, .max = 1024});
  v.field("alternating", alternating, {.help = "powersgd: send one factor per step, in turn: half the bytes and messages, a smaller stable learning rate"});
  v.field("bits", bits, {.help = "quantize: bits per element", .min = 1, .max = 8});
  v.field("block", block, {.help = "quantize: elements that share a scale; a multiple of 8", .min = 8, .max = 65536});
  v.field("stochastic", stochastic, {.help = "quantize: random rounding, unbiased, instead of the nearest level"});
  v.field("density", density, {.help = "top_k, random_k, srht, count_sketch: share of the elements that is sent", .min = 1e-6, .max = 1});
  v.field("sketch_rows", sketch_rows, {.help = "count_sketch: hash functions, of which the median is taken: 1, 3 or 5", .min = 1, .max = 5});
  v.field("sketch_columns", sketch_columns, {.help = "count_sketch: cells of a row for each element that is sent; (10 / density)^(1/3) at least with 5 rows", .min = 1, .max = 1024});
  v.field("momentum", momentum, {.help = "sign: send a running mean of the rank's gradients with this memory (0.9) instead of the gradient; then leave momentum to it, not to the optimizer", .min = 0, .max = 0.999});
  v.field("error_feedback", error_feedback, {.help = "add what compression lost to the next step's gradient"});
  v.field("residual_limit", residual_limit,
          {.help = "what was lost is scaled down beyond this many times |gradient| / contraction of the codec; 0: never", .min = 0, .max = 1e9});
  v.field("min_numel", min_numel, {.help = "smaller matrices travel exactly, as all vectors do", .unit = "elements", .min = 0, .max = 1LL << 40});
  v.field("compress_sketched", compress_sketched, {.help = "compress gradients of sketched layers too: they are small, and exact as they are"});
  v.field("seed", seed, {.help = "of random choices, the same on all ranks", .min = 0, .max = 9007199254740991.0});
}

void check_settings(const CodecSettings& settings) {
  RangeCheck check;
  CodecSettings(settings).fields(check);
  PANTHER_REQUIRE(settings.block % 8 == 0, "comm.codec.block = ", settings.block, " must be a multiple of 8: packed blocks end on a byte; try ",
                  (settings.block + 7) / 8 * 8);
}

}  // namespace panther::comm
