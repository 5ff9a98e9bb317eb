#include "comm/exchange/layout.h"

#include "core/error.h"

namespace panther::comm {

CodecLayout layout_of(const Bucket& bucket, const TensorView& memory, int rank, int ranks) {
  CodecLayout layout{.bucket = memory, .members = {}, .tail = bucket.tail, .rank = rank, .ranks = ranks, .scattered = bucket.scattered};
  for (const BucketMember& member : bucket.members) {
    layout.members.push_back({member.name, member.offset, member.numel, member.rows, member.columns, bucket.tag, member.kind});
  }
  return layout;
}

std::string name_of(const Bucket& bucket) { return bucket.members.empty() ? std::string() : bucket.members.front().name; }

void check_codec(const CodecFactory& factory, const BucketPlan& plan, const CodecSettings& settings) {
  if (factory.check == nullptr) return;
  std::vector<CodecMember> members;
  for (const Bucket& bucket : plan.buckets) {
    const CodecLayout layout = layout_of(bucket, {}, 0, 1);
    members.insert(members.end(), layout.members.begin(), layout.members.end());
  }
  factory.check(members, settings);
}

void check_memory(const BucketPlan& plan, const std::vector<TensorView>& buckets) {
  PANTHER_REQUIRE(plan.buckets.size() == buckets.size(), "the plan has ", plan.buckets.size(), " buckets, memory was given for ", buckets.size());
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const Bucket& bucket = plan.buckets[i];
    const TensorView& memory = buckets[i];
    PANTHER_REQUIRE(memory.dims == 1 && memory.is_contiguous() && memory.dtype == bucket.dtype && memory.numel() == bucket.numel,
                    "the memory of bucket ", i, " must be ", bucket.numel, " contiguous elements of ", dtype_name(bucket.dtype), "; got ",
                    memory.numel(), " of ", dtype_name(memory.dtype));
    PANTHER_REQUIRE(memory.device == buckets.front().device, "all buckets must live on one device; bucket ", i, " does not");
  }
}

}  // namespace panther::comm
