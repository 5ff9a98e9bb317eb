// The bucket plan: golden cases worked out by hand, and properties over many random models.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "comm/exchange/bucket_plan.h"
#include "core/error.h"

namespace panther::comm {
namespace {

std::vector<std::int64_t> slots_of(const Bucket& bucket) {
  std::vector<std::int64_t> result;
  for (const BucketMember& member : bucket.members) result.push_back(member.slot);
  return result;
}

using Slots = std::vector<std::int64_t>;

TEST(BucketPlan, NoGradients) {
  const BucketPlan plan = plan_buckets({}, {});
  EXPECT_TRUE(plan.buckets.empty());
  EXPECT_EQ(plan.why, "no gradients, so no buckets");
}

TEST(BucketPlan, ReverseOrderAlignedWithASmallFirstBucket) {
  // f32: 16 elements are 64 bytes. First limit 128 bytes, then 256.
  const std::vector<GradientSlot> slots = {{"a", 64}, {"b", 5}, {"c", 17}, {"d", 3}, {"e", 20}, {"f", 1}};
  const BucketPlan plan = plan_buckets(slots, {.first_bytes = 128, .bucket_bytes = 256});
  // f fills 64 bytes; e (80) does not fit and f is half a bucket: closed. From here the limit is 256.
  // e fills 128, d makes it 192, c (68) does not fit: closed. c fills 128, b makes it 192, a (256) does not fit: closed.
  ASSERT_EQ(plan.buckets.size(), 4u);
  EXPECT_EQ(slots_of(plan.buckets[0]), (Slots{5}));
  EXPECT_EQ(slots_of(plan.buckets[1]), (Slots{4, 3}));
  EXPECT_EQ(slots_of(plan.buckets[2]), (Slots{2, 1}));
  EXPECT_EQ(slots_of(plan.buckets[3]), (Slots{0}));
  EXPECT_EQ(plan.buckets[1].members[1].offset, 32);
  EXPECT_EQ(plan.buckets[1].members[1].numel, 3);
  EXPECT_EQ(plan.buckets[1].numel, 48);
  EXPECT_EQ(plan.buckets[2].numel, 32 + 16);
  EXPECT_EQ(plan.buckets[3].numel, 64);
}

TEST(BucketPlan, ASlotTooLargeForTheLimitTakesALittleCompanyAlong) {
  const std::vector<GradientSlot> slots = {{"weight", 4096}, {"bias", 8}};
  const BucketPlan plan = plan_buckets(slots, {.first_bytes = 1024, .bucket_bytes = 1024});
  ASSERT_EQ(plan.buckets.size(), 1u);
  EXPECT_EQ(slots_of(plan.buckets[0]), (Slots{1, 0}));
}

TEST(BucketPlan, TagsAndDtypesDoNotMeetAndIssueOrderIsCompletionOrder) {
  const std::vector<GradientSlot> slots = {
      {"a", 4, DType::f32, 0}, {"b", 4, DType::f32, 1}, {"c", 4, DType::f64, 0}, {"d", 4, DType::f32, 1}, {"e", 4, DType::f32, 0}};
  const BucketPlan plan = plan_buckets(slots, {});
  ASSERT_EQ(plan.buckets.size(), 3u);
  EXPECT_EQ(slots_of(plan.buckets[0]), (Slots{2}));     // complete when c is: first
  EXPECT_EQ(slots_of(plan.buckets[1]), (Slots{3, 1}));
  EXPECT_EQ(slots_of(plan.buckets[2]), (Slots{4, 0}));
  EXPECT_EQ(plan.buckets[0].dtype, DType::f64);
  EXPECT_EQ(plan.buckets[1].tag, 1);
  EXPECT_NE(plan.why.find("2 tags and 2 dtypes kept apart"), std::string::npos) << plan.why;
}

TEST(BucketPlan, TailsLieBehindTheGradients) {
  const std::vector<GradientSlot> slots = {{"a", 16}, {"b", 16}};
  const BucketPlan plan = plan_buckets(slots, {.first_bytes = 1, .bucket_bytes = 1, .first_tail = 18, .other_tail = 2});
  ASSERT_EQ(plan.buckets.size(), 2u);
  EXPECT_EQ(plan.buckets[0].numel, 16 + 18);
  EXPECT_EQ(plan.buckets[0].tail, 18);
  EXPECT_EQ(plan.buckets[1].numel, 16 + 2);
}

TEST(BucketPlan, RefusesWhatIsNoGradient) {
  const auto code = [](const std::vector<GradientSlot>& slots, const BucketLimits& limits) {
    try {
      plan_buckets(slots, limits);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::Internal;
  };
  EXPECT_EQ(code({{"ids", 4, DType::i64}}, {}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code({{"a", -1}}, {}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code({{"a", 1}}, {.first_bytes = 0}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code({{"a", 1}}, {.first_tail = -1}), ErrorCode::InvalidArgument);
}

std::vector<GradientSlot> random_slots(std::mt19937_64& random) {
  const DType dtypes[] = {DType::f32, DType::f64, DType::bf16, DType::f16};
  std::vector<GradientSlot> slots(random() % 40);
  for (GradientSlot& slot : slots) {
    slot.name.assign(1, 'p');
    slot.numel = static_cast<std::int64_t>(random() % 3 == 0 ? random() % 20000 : random() % 70);
    slot.dtype = dtypes[random() % 4];
    slot.tag = static_cast<int>(random() % 3);
  }
  return slots;
}

TEST(BucketPlan, PropertiesOfRandomModels) {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 500; ++trial) {
    const std::vector<GradientSlot> slots = random_slots(random);
    const auto draw = [&](std::uint64_t most) { return static_cast<std::int64_t>(1 + random() % most); };
    const std::int64_t first = draw(5000), each = draw(20000), last = trial % 2 == 0 ? 0 : draw(5000);
    const BucketLimits limits{.first_bytes = first, .bucket_bytes = each, .last_bytes = last, .first_tail = 9, .other_tail = 2};
    const BucketPlan plan = plan_buckets(slots, limits);
    EXPECT_EQ(plan_digest(plan), plan_digest(plan_buckets(slots, limits)));
    std::set<std::int64_t> seen;
    std::int64_t last_completion = static_cast<std::int64_t>(slots.size());
    for (std::size_t i = 0; i < plan.buckets.size(); ++i) {
      const Bucket& bucket = plan.buckets[i];
      const auto bytes = static_cast<std::int64_t>(size_of(bucket.dtype));
      std::int64_t end = 0;
      std::int64_t previous = static_cast<std::int64_t>(slots.size());
      for (const BucketMember& member : bucket.members) {
        const GradientSlot& slot = slots[static_cast<std::size_t>(member.slot)];
        EXPECT_TRUE(seen.insert(member.slot).second) << "a gradient stands in two buckets";
        EXPECT_EQ(slot.dtype, bucket.dtype);
        EXPECT_EQ(slot.tag, bucket.tag);
        EXPECT_EQ(slot.numel, member.numel);
        EXPECT_EQ(member.offset * bytes % 64, 0);
        EXPECT_GE(member.offset, end) << "members overlap";
        EXPECT_LT(member.slot, previous) << "backward order";
        end = member.offset + member.numel;
        previous = member.slot;
      }
      EXPECT_EQ(bucket.tail, i == 0 ? 9 : 2);
      EXPECT_LE(end, bucket.numel - bucket.tail);
      EXPECT_LT(bucket.numel - bucket.tail - end, 64 / bytes) << "padding only to the alignment";
      EXPECT_LT(previous, last_completion) << "issue order is the order of completion";
      last_completion = previous;
    }
    EXPECT_EQ(seen.size(), slots.size());
  }
}

TEST(BucketPlan, TheDigestSeesEveryDifference) {
  const std::vector<GradientSlot> slots = {{"a", 100}, {"b", 200}, {"c", 300}};
  const std::uint64_t digest = plan_digest(plan_buckets(slots, {}));
  std::set<std::uint64_t> digests = {digest};
  std::vector<GradientSlot> other = slots;
  other[1].numel = 201;
  EXPECT_TRUE(digests.insert(plan_digest(plan_buckets(other, {}))).second);
  other = slots;
  other[1].dtype = DType::f64;
  EXPECT_TRUE(digests.insert(plan_digest(plan_buckets(other, {}))).second);
  EXPECT_TRUE(digests.insert(plan_digest(plan_buckets(slots, {.first_bytes = 400}))).second);
  EXPECT_TRUE(digests.insert(plan_digest(plan_buckets(slots, {.first_tail = 9}))).second);
}

TEST(BucketPlan, AutomaticSizesAreAnEighthWithinBounds) {
  EXPECT_EQ(automatic_limits(0).bucket_bytes, 128 << 10);
  EXPECT_EQ(automatic_limits(8 << 20).bucket_bytes, 1 << 20);
  EXPECT_EQ(automatic_limits(8 << 20).first_bytes, 512 << 10);
  EXPECT_EQ(automatic_limits(std::int64_t{4} << 30).bucket_bytes, 25 << 20);
}

TEST(BucketPlan, TheLastBucketsShrink) {
  // 16 slots of 1024 bytes, buckets of 4096, the last down to 1024: what is left halves from 8192 bytes on.
  const std::vector<GradientSlot> slots(16, GradientSlot{"g", 256});
  const BucketPlan plan = plan_buckets(slots, {.first_bytes = 4096, .bucket_bytes = 4096, .last_bytes = 1024});
  std::vector<std::size_t> members;
  for (const Bucket& bucket : plan.buckets) members.push_back(bucket.members.size());
  EXPECT_EQ(members, (std::vector<std::size_t>{4, 4, 4, 2, 1, 1}));
  const BucketPlan level = plan_buckets(slots, {.first_bytes = 4096, .bucket_bytes = 4096});
  EXPECT_EQ(level.buckets.size(), 4u);
  EXPECT_EQ(automatic_limits(8 << 20).last_bytes, 128 << 10);
  EXPECT_EQ(automatic_limits(0).last_bytes, 32 << 10);
  EXPECT_THROW(plan_buckets(slots, {.last_bytes = -1}), Error);
}

}  // namespace
}  // namespace panther::comm
