#pragma once
// Which gradients travel together, in which order. Pure: the same input gives the same plan on every rank.
#include <cstdint>
#include <string>
#include <vector>

#include "comm/export.h"
#include "core/dtype.h"

namespace panther::comm {

/// One gradient, in the model's parameter order.
struct GradientSlot {
  std::string name;
  std::int64_t numel = 0;
  DType dtype = DType::f32;
  int tag = 0;                       ///< gradients of different tags never share a bucket
};

struct BucketLimits {
  std::int64_t first_bytes = 256 << 10;   ///< small, so that communication starts early in backward
  std::int64_t bucket_bytes = 4 << 20;
};

/// Place of a slot inside its bucket's flat buffer.
struct BucketMember {
  std::int64_t slot = 0;             ///< index into the slots
  std::int64_t offset = 0;           ///< elements from the start of the bucket
  std::int64_t numel = 0;
};

struct Bucket {
  std::vector<BucketMember> members;
  DType dtype = DType::f32;
  int tag = 0;
  std::int64_t numel = 0;            ///< including padding (members are 64-byte aligned)
};

struct BucketPlan {
  std::vector<Bucket> buckets;       ///< in issue order: last parameters first
  std::string why;                   ///< one sentence
};

/// Reverse order of the slots (backward order), closed at the byte limits, tags and dtypes kept apart.
PANTHER_COMM_API BucketPlan plan_buckets(const std::vector<GradientSlot>& slots, const BucketLimits& limits);

}  // namespace panther::comm
