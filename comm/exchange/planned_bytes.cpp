#include <algorithm>

#include "comm/exchange/exchange.h"
#include "comm/exchange/layout.h"

namespace panther::comm {
namespace {

std::int64_t stage_bytes(const Stage& stage, int ranks) {
  const std::int64_t bytes = stage.count * static_cast<std::int64_t>(size_of(stage.dtype));
  return stage.kind == Stage::Kind::all_reduce ? ring_bytes_sent(bytes, 0, ranks) : bytes * (ranks - 1);
}

/// Rank 0's for the sum inside its node and for handing the result out.
std::int64_t bytes_inside(const Bucket& bucket, bool half, int ranks) {
  const std::int64_t bytes = bucket.numel * static_cast<std::int64_t>(half ? std::min<std::size_t>(2, size_of(bucket.dtype)) : size_of(bucket.dtype));
  return ring_bytes_sent(bytes, 0, ranks) + (ranks > 1 ? bytes : 0);
}

}  // namespace

std::int64_t planned_bytes_sent(const BucketPlan& plan, const ExchangeConfig& config, Allocator& allocator, int ranks) {
  check_settings(config.settings);
  // "auto" starts on half; what it sends later depends on the link (comm/exchange/auto_plan.h).
  const CodecFactory& factory = codec_registry().at(config.codec == kAutomaticExchange ? "half" : config.codec);
  check_codec(factory, plan, config.settings);
  if (ranks == 1) return 0;
  // Two levels: rank 0 leads node 0, and its codecs speak to the other leaders.
  const bool levels = !config.nodes.empty();
  const int peers = levels ? 1 + *std::max_element(config.nodes.begin(), config.nodes.end()) : ranks;
  const auto neighbours = static_cast<int>(std::count(config.nodes.begin(), config.nodes.end(), 0));
  std::int64_t two_steps = 0;
  bool control_rides = false;
  for (std::size_t i = 0; i < plan.buckets.size(); ++i) {
    const Bucket& bucket = plan.buckets[i];
    const Workspace memory(allocator, static_cast<std::size_t>(bucket.numel) * size_of(bucket.dtype), {}, {});
    const CodecLayout layout = layout_of(bucket, TensorView(memory.data(), bucket.dtype, {bucket.numel}), 0, peers);
    const std::unique_ptr<Codec> codec = factory.make(layout, config.settings, allocator);
    for (const std::int64_t step : {0, 1}) {
      for (const Stage& stage : codec->plan(step)) two_steps += stage_bytes(stage, peers);
    }
    if (levels) two_steps += 2 * bytes_inside(bucket, config.inner_half, neighbours);
    if (i == 0) control_rides = codec->keeps_bytes() && bucket.tail >= control_elements(ranks);
  }
  const std::int64_t alone = control_elements(ranks) * static_cast<std::int64_t>(sizeof(float));
  return two_steps / 2 + (control_rides ? 0 : ring_bytes_sent(alone, 0, ranks));
}

}  // namespace panther::comm
