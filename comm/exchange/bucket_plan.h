#pragma once
// Which gradients travel together, in which order. Pure: the same input gives the same plan on every rank.
#include <cstdint>
#include <string>
#include <vector>

#include "comm/export.h"
#include "core/dtype.h"

namespace panther::comm {

/// What a codec may do to a gradient: an exact sketched one (dS of a sketched layer) is small already and its plain sum is exact, so it is
/// compressed only on request; an embedding's touches few rows.
enum class GradientKind : std::uint8_t { dense, sketched, embedding };

/// One gradient, in the model's parameter order.
struct GradientSlot {
  std::string name;
  std::int64_t numel = 0;
  DType dtype = DType::f32;
  int tag = 0;                       ///< gradients of different tags never share a bucket
  std::int64_t rows = 0;             ///< of the row-major matrix that the gradient is in memory, numel = rows x columns; 0: a vector
  std::int64_t columns = 0;
  GradientKind kind = GradientKind::dense;
  bool scattered = false;            ///< every rank gets its part of the sum alone; never in a bucket with others
};

struct BucketLimits {
  std::int64_t first_bytes = 256 << 10;   ///< small, so that communication starts early in backward
  std::int64_t bucket_bytes = 4 << 20;
  std::int64_t last_bytes = 0;            ///< > 0: towards the end a bucket holds half of what is left, down to this
  std::int64_t first_tail = 0;            ///< elements kept free behind the gradients of the first bucket (control word)
  std::int64_t other_tail = 0;            ///< the same for the others (contribution count of checked mode)
  std::int64_t parts = 1;                 ///< scattered buckets are cut into so many equal parts, and have no tail
};

/// Sizes for gradients of `total_bytes`: an eighth of them to a bucket (at least 128 KiB, below which latency rules, and at most 25 MiB), so
/// that most of what is sent overlaps with backward; half of that for the first, because sending starts with it, and an eighth (at least 32 KiB) for the
/// last, because nothing hides it. Tails are left to the caller. Pure.
PANTHER_COMM_API BucketLimits automatic_limits(std::int64_t total_bytes);

/// Place of a slot inside its bucket's flat buffer.
struct BucketMember {
  std::int64_t slot = 0;             ///< index into the slots
  std::int64_t offset = 0;           ///< elements from the start of the bucket
  std::int64_t numel = 0;
  std::string name;                  ///< of the slot, as the matrix shape is; codecs keep state by name
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  GradientKind kind = GradientKind::dense;
};

struct Bucket {
  std::vector<BucketMember> members;
  DType dtype = DType::f32;
  int tag = 0;
  std::int64_t numel = 0;            ///< including padding (members are 64-byte aligned) and the tail
  std::int64_t tail = 0;             ///< the last elements, which belong to the exchange
  bool scattered = false;            ///< after the exchange, part r of the memory holds the sum on rank r, and the rest nothing of use
};

struct BucketPlan {
  std::vector<Bucket> buckets;       ///< in issue order: last parameters first
  std::string why;                   ///< one sentence
};

/// Reverse order of the slots (backward order), closed at the byte limits, tags, dtypes and scattered ones kept apart. Until the first bucket
/// is closed the limit is `first_bytes`, later `bucket_bytes` or less near the end (`last_bytes`). A slot that does not fit closes the bucket before it when that is at least half full,
/// and else travels in it: a bucket is never larger than half a limit plus one slot, or the limit. Buckets stand in the order
/// in which backward completes them. Throws InvalidArgument for negative sizes, limits below 1, matrix
/// shapes that do not fit and dtypes that are no gradients.
PANTHER_COMM_API BucketPlan plan_buckets(const std::vector<GradientSlot>& slots, const BucketLimits& limits);

/// 64-bit digest of what the ranks must agree on to exchange by this plan: members with names and shapes, offsets, dtypes, order.
PANTHER_COMM_API std::uint64_t plan_digest(const BucketPlan& plan);

}  // namespace panther::comm
