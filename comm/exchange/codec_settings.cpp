#include "comm/exchange/codec_settings.h"

#include "core/error.h"

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

}  // namespace

void CodecSettings::fields(FieldVisitor& v) {
  v.field("rank", rank, {.help = "powersgd: rank of what is sent of a matrix; 1 to 4 for small models, 32 and more for transformers", .min = 1, .max = 1024});
  v.field("alternating", alternating, {.help = "powersgd: send one factor per step, in turn: half the bytes and messages, a smaller stable learning rate"});
  v.field("bits", bits, {.help = "quantize: bits per element", .min = 1, .max = 8});
  v.field("block", block, {.help = "quantize: elements that share a scale; a multiple of 8", .min = 8, .max = 65536});
  v.field("stochastic", stochastic, {.help = "quantize: random rounding, unbiased, instead of the nearest level"});
  v.field("density", density, {.help = "top_k, random_k: share of the elements that is sent", .min = 1e-6, .max = 1});
  v.field("error_feedback", error_feedback, {.help = "add what compression lost to the next step's gradient"});
  v.field("residual_limit", residual_limit,
          {.help = "what was lost is scaled down beyond this many times |gradient| / contraction of the codec; 0: never", .min = 0, .max = 1e9});
  v.field("min_numel", min_numel, {.help = "smaller matrices travel exactly, as all vectors do", .unit = "elements", .min = 0, .max = 1LL << 40});
  v.field("seed", seed, {.help = "of random choices, the same on all ranks", .min = 0, .max = 9007199254740991.0});
}

void check_settings(const CodecSettings& settings) {
  RangeCheck check;
  CodecSettings(settings).fields(check);
  PANTHER_REQUIRE(settings.block % 8 == 0, "comm.codec.block = ", settings.block, " must be a multiple of 8: packed blocks end on a byte; try ",
                  (settings.block + 7) / 8 * 8);
}

}  // namespace panther::comm
