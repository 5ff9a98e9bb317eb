#include "comm/exchange/low_rank_factors.h"

#include <algorithm>
#include <cstring>

#include "kernels/philox.h"

namespace panther::comm {
namespace {

std::int64_t numel_of(const BucketParts& parts, FactorSide side, std::int64_t rank) {
  std::int64_t total = 0;
  for (const CompressedPart& part : parts.compressed()) total += rank * (side == FactorSide::rows ? part.member.rows : part.member.columns);
  return total;
}

/// Uniform in (-1/2, 1/2), by counter.
void fill_random(std::uint64_t key, std::int64_t step, std::int64_t column, std::int64_t length, float* values) {
  for (std::int64_t i = 0; i < length; i += 4) {
    const PhiloxBlock block = philox({{static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(column), static_cast<std::uint32_t>(step),
                                       static_cast<std::uint32_t>(static_cast<std::uint64_t>(step) >> 32)}}, PhiloxKey::from(key));
    for (std::int64_t j = 0; j < std::min<std::int64_t>(4, length - i); ++j) values[i + j] = uniform_open(block.word[j]) - 0.5f;
  }
}

bool is_zero(const float* values, std::int64_t count) {
  return std::all_of(values, values + count, [](float v) { return v == 0; });
}

}  // namespace

LowRankFactors::LowRankFactors(const BucketParts& parts, FactorSide side, const CodecSettings& settings, Allocator& allocator)
    : parts_(parts), side_(side), settings_(settings), numel_(numel_of(parts, side, settings.rank)),
      memory_(allocator, static_cast<std::size_t>(2 * numel_) * sizeof(float), {}, {}), scratch_(static_cast<std::size_t>(settings.rank * settings.rank)),
      kernels_(pack_kernels(DeviceKind::cpu)) {
  if (numel_ > 0) std::memset(memory_.data(), 0, memory_.bytes());
  std::int64_t at = 0;
  for (std::size_t i = 0; i < parts.compressed().size(); ++i) {
    offsets_.push_back(at);
    complete(i, half(false) + at, 0);
    at += settings.rank * length(parts.compressed()[i]);
  }
}

void LowRankFactors::complete(std::size_t index, float* factor, std::int64_t step) {
  const CompressedPart& part = parts_.compressed()[index];
  const std::int64_t rows = length(part);
  if (kernels_.orthonormalize(factor, rows, settings_.rank, scratch_.data()) == 0) return;
  const std::uint64_t key = mix64(member_key(part.member, settings_), side_ == FactorSide::rows ? 1 : 2);
  for (std::int64_t r = 0; r < settings_.rank; ++r) {
    if (is_zero(factor + r * rows, rows)) fill_random(key, step, r, rows, factor + r * rows);
  }
  kernels_.orthonormalize(factor, rows, settings_.rank, scratch_.data());
}

void LowRankFactors::propose(const float* factors, std::int64_t step) {
  if (numel_ == 0) return;
  float* next = half(!flipped_);
  std::memcpy(next, factors, static_cast<std::size_t>(numel_) * sizeof(float));
  for (std::size_t i = 0; i < offsets_.size(); ++i) complete(i, next + offsets_[i], step + 1);
  proposed_ = true;
}

void LowRankFactors::commit() noexcept {
  if (proposed_) flipped_ = !flipped_;
  proposed_ = false;
}

std::string LowRankFactors::name_of(const CompressedPart& part) const {
  return part.member.name + (side_ == FactorSide::rows ? "/powersgd.p" : "/powersgd.q");
}

std::uint64_t LowRankFactors::digest() const noexcept {
  return numel_ == 0 ? 0 : hash_name(reinterpret_cast<const char*>(half(flipped_)), static_cast<std::size_t>(numel_) * sizeof(float));
}

void LowRankFactors::save(const StateSink& put) const {
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    const CompressedPart& part = parts_.compressed()[i];
    put(name_of(part), TensorView(half(flipped_) + offsets_[i], DType::f32, {settings_.rank, length(part)}));
  }
}

void LowRankFactors::load(const StateSource& get) {
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    const CompressedPart& part = parts_.compressed()[i];
    float* factor = half(flipped_) + offsets_[i];
    if (get(name_of(part), TensorView(factor, DType::f32, {settings_.rank, length(part)}))) continue;
    std::memset(factor, 0, static_cast<std::size_t>(settings_.rank * length(part)) * sizeof(float));
    complete(i, factor, 0);
  }
}

}  // namespace panther::comm
