#include "comm/exchange/low_rank_factors.h"

#include "comm/exchange/host_state.h"
#include "kernels/philox.h"

namespace panther::comm {
namespace {

std::int64_t numel_of(const BucketParts& parts, FactorSide side, std::int64_t rank) {
  std::int64_t total = 0;
  for (const CompressedPart& part : parts.compressed()) total += rank * (side == FactorSide::rows ? part.member.rows : part.member.columns);
  return total;
}

}  // namespace

LowRankFactors::LowRankFactors(const BucketParts& parts, FactorSide side, const CodecSettings& settings, Allocator& allocator)
    : parts_(parts), side_(side), settings_(settings), numel_(numel_of(parts, side, settings.rank)),
      memory_(allocator, static_cast<std::size_t>(2 * numel_) * sizeof(float), parts.device(), {}),
      scratch_(allocator, static_cast<std::size_t>(settings.rank * settings.rank + 1) * sizeof(double), parts.device(), {}),
      kernels_(pack_kernels(parts.device().kind)) {
  if (numel_ > 0) kernels_.clear(memory_.data(), static_cast<std::int64_t>(memory_.bytes()), {});
  std::int64_t at = 0;
  for (std::size_t i = 0; i < parts.compressed().size(); ++i) {
    offsets_.push_back(at);
    complete(i, half(false) + at, 0, {});
    at += settings.rank * length(parts.compressed()[i]);
  }
}

void LowRankFactors::complete(std::size_t index, float* factor, std::int64_t step, Stream stream) {
  const CompressedPart& part = parts_.compressed()[index];
  kernels_.orthonormalize({.factor_RM = factor, .rows = length(part), .rank = settings_.rank, .scratch_RR = static_cast<double*>(scratch_.data()), .complete = true,
                           .key = mix64(member_key(part.member, settings_), side_ == FactorSide::rows ? 1 : 2), .step = step}, stream);
}

void LowRankFactors::propose(const float* factors, const CodecCall& call) {
  if (numel_ == 0) return;
  float* next = half(!flipped_);
  call.kernels.cast(TensorView(const_cast<float*>(factors), DType::f32, {numel_}, parts_.device()), TensorView(next, DType::f32, {numel_}, parts_.device()), call.stream);
  for (std::size_t i = 0; i < offsets_.size(); ++i) complete(i, next + offsets_[i], call.step + 1, call.stream);
  proposed_ = true;
}

void LowRankFactors::commit() noexcept {
  if (proposed_) flipped_ = !flipped_;
  proposed_ = false;
}

std::string LowRankFactors::name_of(const CompressedPart& part) const {
  return part.member.name + (side_ == FactorSide::rows ? "/powersgd.p" : "/powersgd.q");
}

TensorView LowRankFactors::factor_of(std::size_t part) const {
  return TensorView(half(flipped_) + offsets_[part], DType::f32, {settings_.rank, length(parts_.compressed()[part])}, parts_.device());
}

std::uint64_t LowRankFactors::digest() const {
  if (numel_ == 0) return 0;
  const std::vector<std::byte> bytes = host_bytes(TensorView(half(flipped_), DType::f32, {numel_}, parts_.device()));
  return hash_name(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void LowRankFactors::save(const StateSink& put) const {
  for (std::size_t i = 0; i < offsets_.size(); ++i) put_state(put, name_of(parts_.compressed()[i]), factor_of(i));
}

void LowRankFactors::load(const StateSource& get) {
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    if (!get_state(get, name_of(parts_.compressed()[i]), factor_of(i))) complete(i, half(flipped_) + offsets_[i], 0, {});
  }
}

}  // namespace panther::comm
