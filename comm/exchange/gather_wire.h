#pragma once
// The message of codecs whose encoded values cannot be summed: every rank's bytes go to every rank, which decodes and sums them in
// rank order. Exact elements travel in front as f32, so that a step needs one message; a bucket without anything compressed is
// all_reduced instead.
#include <span>

#include "comm/exchange/alarm.h"
#include "comm/exchange/bucket_parts.h"

namespace panther::comm {

class GatherWire {
 public:
  /// `part_bytes[i]`: encoded size of compressed part i.
  GatherWire(const BucketParts& parts, std::span<const std::int64_t> part_bytes, const CodecLayout& layout, Allocator& allocator);

  std::vector<Stage> plan() const;
  /// What this rank sends; zero where nobody writes.
  TensorView own() const;
  std::byte* own_part(std::size_t part) const noexcept { return static_cast<std::byte*>(memory_.data()) + offsets_[part]; }
  /// Every rank's encoding of a part, in rank order.
  std::vector<const std::byte*> sources(const TensorView& wire, std::size_t part) const;

  void pack_exact(const CodecCall& call) const;
  /// Sums the exact elements over ranks, in rank order, into the bucket; the alarm watches the sums.
  void unpack_exact(const TensorView& wire, const Alarm& alarm, const CodecCall& call) const;

 private:
  bool reduces() const noexcept { return offsets_.empty(); }
  TensorView exact_of(std::byte* message) const;

  const BucketParts& parts_;
  Device device_;
  int ranks_;
  std::int64_t bytes_ = 0;
  std::vector<std::int64_t> offsets_;
  Workspace memory_;
  Workspace sum_;
};

}  // namespace panther::comm
