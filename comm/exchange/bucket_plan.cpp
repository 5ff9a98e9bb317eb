#include "comm/exchange/bucket_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "kernels/philox.h"

namespace panther::comm {
namespace {

constexpr std::int64_t kAlignmentBytes = 64;

std::int64_t element_bytes(DType dtype) { return static_cast<std::int64_t>(size_of(dtype)); }

std::int64_t aligned(std::int64_t elements, DType dtype) {
  const std::int64_t unit = kAlignmentBytes / element_bytes(dtype);
  return (elements + unit - 1) / unit * unit;
}

void check(const std::vector<GradientSlot>& slots, const BucketLimits& limits) {
  PANTHER_REQUIRE(limits.first_bytes > 0 && limits.bucket_bytes > 0, "bucket sizes must be positive; got first ", limits.first_bytes,
                  " and others ", limits.bucket_bytes, " bytes");
  PANTHER_REQUIRE(limits.last_bytes >= 0, "the last bucket cannot have ", limits.last_bytes, " bytes");
  PANTHER_REQUIRE(limits.parts >= 1, "scattered buckets cannot be cut into ", limits.parts, " parts");
  PANTHER_REQUIRE(limits.first_tail >= 0 && limits.other_tail >= 0, "bucket tails cannot be negative; got ", limits.first_tail, " and ",
                  limits.other_tail);
  for (const GradientSlot& slot : slots) {
    PANTHER_REQUIRE(slot.numel >= 0, "gradient '", slot.name, "' has ", slot.numel, " elements");
    PANTHER_REQUIRE(slot.rows == 0 || slot.rows * slot.columns == slot.numel, "gradient '", slot.name, "' has ", slot.numel, " elements, which are no ",
                    slot.rows, " x ", slot.columns, " matrix");
    PANTHER_REQUIRE(is_floating(slot.dtype), "gradient '", slot.name, "' is ", dtype_name(slot.dtype),
                    "; only floating gradients can be summed");
  }
}

/// Buckets being filled, one per (dtype, tag, scattered), and those that are closed.
class Packer {
 public:
  Packer(const BucketLimits& limits, std::int64_t bytes) : limits_(limits), ahead_(bytes) {}

  void add(std::int64_t index, const GradientSlot& slot) {
    Bucket& open = open_[{slot.dtype, slot.tag, slot.scattered}];
    const std::int64_t bytes = slot.numel * element_bytes(slot.dtype);
    const std::int64_t filled = open.numel * element_bytes(slot.dtype), most = limit(filled + ahead_);
    if (filled + bytes > most && 2 * filled >= most) close(open);
    open.dtype = slot.dtype;
    open.tag = slot.tag;
    open.scattered = slot.scattered;
    open.members.push_back({index, open.numel, slot.numel, slot.name, slot.rows, slot.columns, slot.kind});
    open.numel = aligned(open.numel + slot.numel, slot.dtype);
    ahead_ -= bytes;
    const std::int64_t now = open.numel * element_bytes(slot.dtype);
    if (now >= limit(now + ahead_)) close(open);
  }

  /// All buckets, in the order in which their last gradients become ready.
  std::vector<Bucket> finish() {
    for (auto& [key, bucket] : open_) close(bucket);
    std::stable_sort(closed_.begin(), closed_.end(), [](const Bucket& a, const Bucket& b) { return a.members.back().slot > b.members.back().slot; });
    for (std::size_t i = 0; i < closed_.size(); ++i) {
      Bucket& bucket = closed_[i];
      if (bucket.scattered) {
        bucket.numel = limits_.parts * aligned((bucket.numel + limits_.parts - 1) / limits_.parts, bucket.dtype);
        continue;
      }
      bucket.tail = i == 0 ? limits_.first_tail : limits_.other_tail;
      bucket.numel += bucket.tail;
    }
    return std::move(closed_);
  }

 private:
  /// `left`: bytes in the open bucket and in all slots to come.
  std::int64_t limit(std::int64_t left) const {
    if (closed_.empty()) return limits_.first_bytes;
    if (limits_.last_bytes == 0) return limits_.bucket_bytes;
    return std::max(std::min(limits_.bucket_bytes, left / 2), limits_.last_bytes);
  }

  void close(Bucket& bucket) {
    if (!bucket.members.empty()) closed_.push_back(std::move(bucket));
    bucket = {};
  }

  BucketLimits limits_;
  std::int64_t ahead_;  ///< bytes of the slots not yet added
  std::map<std::tuple<DType, int, bool>, Bucket> open_;
  std::vector<Bucket> closed_;
};

std::string explain(const std::vector<GradientSlot>& slots, const std::vector<Bucket>& buckets, const BucketLimits& limits) {
  if (buckets.empty()) return "no gradients, so no buckets";
  std::set<int> tags;
  std::set<DType> dtypes;
  std::int64_t bytes = 0;
  for (const Bucket& bucket : buckets) {
    tags.insert(bucket.tag);
    dtypes.insert(bucket.dtype);
    bytes += bucket.numel * element_bytes(bucket.dtype);
  }
  const auto& first = buckets.front();
  return concat(slots.size(), slots.size() == 1 ? " gradient" : " gradients", " of ", human_bytes(static_cast<double>(bytes)), " in ",
                buckets.size(), buckets.size() == 1 ? " bucket" : " buckets", ", last parameters first; the first has ",
                human_bytes(static_cast<double>(first.numel * element_bytes(first.dtype))), " (limit ",
                human_bytes(static_cast<double>(limits.first_bytes)), ", to start early), the others close at ",
                human_bytes(static_cast<double>(limits.bucket_bytes)), "; ", tags.size(), tags.size() == 1 ? " tag" : " tags", " and ",
                dtypes.size(), dtypes.size() == 1 ? " dtype" : " dtypes", " kept apart");
}

}  // namespace

BucketLimits automatic_limits(std::int64_t total_bytes) {
  constexpr std::int64_t kSmallest = 128 << 10;
  constexpr std::int64_t kLargest = 25 << 20;
  const std::int64_t bucket = std::clamp(total_bytes / 8, kSmallest, kLargest);
  constexpr std::int64_t kSmallestLast = 32 << 10;
  return {.first_bytes = bucket / 2, .bucket_bytes = bucket, .last_bytes = std::max(kSmallestLast, bucket / 8)};
}

BucketPlan plan_buckets(const std::vector<GradientSlot>& slots, const BucketLimits& limits) {
  check(slots, limits);
  std::int64_t bytes = 0;
  for (const GradientSlot& slot : slots) bytes += slot.numel * element_bytes(slot.dtype);
  Packer packer(limits, bytes);
  for (std::size_t i = slots.size(); i-- > 0;) packer.add(static_cast<std::int64_t>(i), slots[i]);
  BucketPlan plan;
  plan.buckets = packer.finish();
  plan.why = explain(slots, plan.buckets, limits);
  return plan;
}

std::uint64_t plan_digest(const BucketPlan& plan) {
  std::uint64_t digest = plan.buckets.size();
  const auto mix = [&digest](std::int64_t value) { digest = mix64(digest, static_cast<std::uint64_t>(value)); };
  for (const Bucket& bucket : plan.buckets) {
    mix(static_cast<std::int64_t>(bucket.dtype));
    mix(bucket.tag);
    mix(bucket.numel);
    mix(bucket.tail);
    mix(bucket.scattered ? 1 : 0);
    for (const BucketMember& member : bucket.members) {
      mix(member.slot);
      mix(member.offset);
      mix(member.numel);
      mix(member.rows);
      mix(static_cast<std::int64_t>(member.kind));
      digest = mix64(digest, hash_name(member.name.data(), member.name.size()));
    }
  }
  return digest;
}

}  // namespace panther::comm
