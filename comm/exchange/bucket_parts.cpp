#include "comm/exchange/bucket_parts.h"

#include <algorithm>

#include "kernels/philox.h"

namespace panther::comm {
namespace {

constexpr std::int64_t kAlignment = 16;  // elements: one cache line of f32

std::int64_t aligned(std::int64_t count) { return (count + kAlignment - 1) / kAlignment * kAlignment; }

bool chosen(const CodecMember& member, const CodecSettings& settings, BucketParts::Choice also) {
  return is_large_matrix(member, settings) && (also == nullptr || also(member, settings));
}

std::size_t staging_bytes(const CodecLayout& layout, const CodecSettings& settings, BucketParts::Choice also) {
  if (layout.bucket.dtype == DType::f32) return 0;
  std::int64_t total = 0;
  for (const CodecMember& member : layout.members) total += chosen(member, settings, also) ? aligned(member.numel) : 0;
  return static_cast<std::size_t>(total) * sizeof(float);
}

}  // namespace

bool is_large_matrix(const CodecMember& member, const CodecSettings& settings) {
  const bool wanted = member.kind != GradientKind::sketched || settings.compress_sketched;
  return wanted && member.rows > 1 && member.columns > 1 && member.numel >= settings.min_numel;
}

std::uint64_t member_key(const CodecMember& member, const CodecSettings& settings) {
  return mix64(static_cast<std::uint64_t>(settings.seed), hash_name(member.name.data(), member.name.size()));
}

BucketParts::BucketParts(const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator, Choice also)
    : bucket_(layout.bucket), staging_(allocator, staging_bytes(layout, settings, also), layout.bucket.device, {}) {
  for (const CodecMember& member : layout.members) {
    if (!chosen(member, settings, also)) {
      add_exact(member.offset, member.numel);
      continue;
    }
    const bool in_place = bucket_.dtype == DType::f32;
    float* memory = in_place ? bucket_.as<float>() + member.offset : static_cast<float*>(staging_.data()) + compressed_numel_;
    compressed_.push_back({member, TensorView(memory, DType::f32, {member.numel}, bucket_.device), compressed_numel_});
    compressed_numel_ += aligned(member.numel);
  }
  add_exact(bucket_.numel() - layout.tail, layout.tail);
}

void BucketParts::add_exact(std::int64_t offset, std::int64_t numel) {
  if (numel == 0) return;
  exact_.push_back({offset, numel});
  exact_numel_ += numel;
}

std::int64_t BucketParts::largest_numel() const noexcept {
  std::int64_t largest = 0;
  for (const CompressedPart& part : compressed_) largest = std::max(largest, part.member.numel);
  return largest;
}

void BucketParts::load(const CodecCall& call) const {
  if (bucket_.dtype == DType::f32) return;
  for (const CompressedPart& part : compressed_) call.kernels.cast(bucket_.slice(part.member.offset, part.member.numel), part.values, call.stream);
}

void BucketParts::store(const CodecCall& call) const {
  if (bucket_.dtype == DType::f32) return;
  for (const CompressedPart& part : compressed_) call.kernels.cast(part.values, bucket_.slice(part.member.offset, part.member.numel), call.stream);
}

void BucketParts::pack_exact(const TensorView& wire, const CodecCall& call) const {
  std::int64_t at = 0;
  for (const Range& range : exact_) {
    call.kernels.cast(bucket_.slice(range.offset, range.numel), wire.slice(at, range.numel), call.stream);
    at += range.numel;
  }
}

void BucketParts::unpack_exact(const TensorView& wire, const CodecCall& call) const {
  std::int64_t at = 0;
  for (const Range& range : exact_) {
    call.kernels.cast(wire.slice(at, range.numel), bucket_.slice(range.offset, range.numel), call.stream);
    at += range.numel;
  }
}

}  // namespace panther::comm
