#include "comm/exchange/gather_wire.h"

#include <algorithm>

namespace panther::comm {
namespace {

std::int64_t aligned(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

std::int64_t total_bytes(const BucketParts& parts, std::span<const std::int64_t> part_bytes) {
  std::int64_t total = aligned(parts.exact_numel() * static_cast<std::int64_t>(sizeof(float)));
  for (const std::int64_t bytes : part_bytes) total += aligned(bytes);
  return total;
}

}  // namespace

GatherWire::GatherWire(const BucketParts& parts, std::span<const std::int64_t> part_bytes, const CodecLayout& layout, Allocator& allocator)
    : parts_(parts), device_(layout.bucket.device), ranks_(layout.ranks), bytes_(total_bytes(parts, part_bytes)),
      memory_(allocator, static_cast<std::size_t>(bytes_), device_, {}),
      sum_(allocator, part_bytes.empty() ? 0 : static_cast<std::size_t>(parts.exact_numel()) * sizeof(float), device_, {}) {
  if (bytes_ > 0) pack_kernels(device_.kind).clear(memory_.data(), bytes_, {});
  std::int64_t at = aligned(parts.exact_numel() * static_cast<std::int64_t>(sizeof(float)));
  for (const std::int64_t bytes : part_bytes) {
    offsets_.push_back(at);
    at += aligned(bytes);
  }
}

std::vector<Stage> GatherWire::plan() const {
  if (reduces()) return {{Stage::Kind::all_reduce, DType::f32, parts_.exact_numel(), ReduceOp::sum}};
  return {{Stage::Kind::all_gather, DType::u8, bytes_, ReduceOp::sum}};
}

TensorView GatherWire::own() const {
  if (reduces()) return exact_of(static_cast<std::byte*>(memory_.data()));
  return TensorView(memory_.data(), DType::u8, {bytes_}, device_);
}

TensorView GatherWire::exact_of(std::byte* message) const { return TensorView(message, DType::f32, {parts_.exact_numel()}, device_); }

std::vector<const std::byte*> GatherWire::sources(const TensorView& wire, std::size_t part) const {
  std::vector<const std::byte*> result;
  for (int rank = 0; rank < ranks_; ++rank) result.push_back(wire.as<std::byte>() + rank * bytes_ + offsets_[part]);
  return result;
}

void GatherWire::pack_exact(const CodecCall& call) const { parts_.pack_exact(exact_of(static_cast<std::byte*>(memory_.data())), call); }

void GatherWire::unpack_exact(const TensorView& wire, const Alarm& alarm, const CodecCall& call) const {
  if (parts_.exact_numel() == 0) return;
  TensorView sum = wire;
  if (!reduces()) {
    constexpr int kSources = 63;  // packed_sum takes 64, one of which is the sum so far
    sum = exact_of(static_cast<std::byte*>(sum_.data()));
    for (int first = 0; first < ranks_; first += kSources) {
      std::vector<TensorView> sources;
      if (first > 0) sources.push_back(sum);
      for (int rank = first; rank < std::min(ranks_, first + kSources); ++rank) sources.push_back(exact_of(wire.as<std::byte>() + rank * bytes_));
      call.kernels.packed_sum(sources, sum, call.stream);
    }
  }
  parts_.unpack_exact(sum, call);
  alarm.watch(sum, call);
}

}  // namespace panther::comm
