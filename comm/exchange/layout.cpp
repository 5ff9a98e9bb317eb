#include "comm/exchange/layout.h"

namespace panther::comm {

CodecLayout layout_of(const Bucket& bucket, const TensorView& memory, int rank, int ranks) {
  CodecLayout layout{.bucket = memory, .members = {}, .tail = bucket.tail, .rank = rank, .ranks = ranks, .scattered = bucket.scattered};
  for (const BucketMember& member : bucket.members) {
    layout.members.push_back({member.name, member.offset, member.numel, member.rows, member.columns, bucket.tag, member.kind});
  }
  return layout;
}

void check_codec(const CodecFactory& factory, const BucketPlan& plan, const CodecSettings& settings) {
  if (factory.check == nullptr) return;
  std::vector<CodecMember> members;
  for (const Bucket& bucket : plan.buckets) {
    const CodecLayout layout = layout_of(bucket, {}, 0, 1);
    members.insert(members.end(), layout.members.begin(), layout.members.end());
  }
  factory.check(members, settings);
}

}  // namespace panther::comm
