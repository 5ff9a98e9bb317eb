#include "comm/exchange/bucket_plan.h"

#include <algorithm>
#include <map>
#include <set>
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

/// Buckets being filled, one per (dtype, tag), and those that are closed.
class Packer {
 public:
  explicit Packer(const BucketLimits& limits) : limits_(limits) {}

  void add(std::int64_t index, const GradientSlot& slot) {
    Bucket& open = open_[{slot.dtype, slot.tag}];
    const std::int64_t bytes = slot.numel * element_bytes(slot.dtype);
    const std::int64_t filled = open.numel * element_bytes(slot.dtype);
    if (filled + bytes > limit() && 2 * filled >= limit()) close(open);
    open.dtype = slot.dtype;
    open.tag = slot.tag;
    open.members.push_back({index, open.numel, slot.numel, slot.name, slot.rows, slot.columns});
    open.numel = aligned(open.numel + slot.numel, slot.dtype);
    if (open.numel * element_bytes(slot.dtype) >= limit()) close(open);
  }

  /// All buckets, in the order in which their last gradients become ready.
  std::vector<Bucket> finish() {
    for (auto& [key, bucket] : open_) close(bucket);
    std::stable_sort(closed_.begin(), closed_.end(), [](const Bucket& a, const Bucket& b) { return a.members.back().slot > b.members.back().slot; });
    for (std::size_t i = 0; i < closed_.size(); ++i) {
      closed_[i].tail = i == 0 ? limits_.first_tail : limits_.other_tail;
      closed_[i].numel += closed_[i].tail;
    }
    return std::move(closed_);
  }

 private:
  std::int64_t limit() const { return closed_.empty() ? limits_.first_bytes : limits_.bucket_bytes; }

  void close(Bucket& bucket) {
    if (!bucket.members.empty()) closed_.push_back(std::move(bucket));
    bucket = {};
  }

  BucketLimits limits_;
  std::map<std::pair<DType, int>, Bucket> open_;
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
  return {.first_bytes = bucket / 2, .bucket_bytes = bucket};
}

BucketPlan plan_buckets(const std::vector<GradientSlot>& slots, const BucketLimits& limits) {
  check(slots, limits);
  Packer packer(limits);
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
    for (const BucketMember& member : bucket.members) {
      mix(member.slot);
      mix(member.offset);
      mix(member.numel);
      mix(member.rows);
      digest = mix64(digest, hash_name(member.name.data(), member.name.size()));
    }
  }
  return digest;
}

}  // namespace panther::comm
