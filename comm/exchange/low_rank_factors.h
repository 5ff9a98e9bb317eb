#pragma once
// Factors of every compressed matrix of a bucket, kept between steps (warm starts): two sets, the state and what the running step
// made of it.
#include "comm/exchange/bucket_parts.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

/// Which side of the matrices the factors multiply: rows (P, M x r) or columns (Q, N x r). Stored by columns of the factor.
enum class FactorSide { rows, columns };

class LowRankFactors {
 public:
  /// Starts with random orthonormal columns, the same on every rank.
  LowRankFactors(const BucketParts& parts, FactorSide side, const CodecSettings& settings, Allocator& allocator);

  std::int64_t length(const CompressedPart& part) const noexcept { return side_ == FactorSide::rows ? part.member.rows : part.member.columns; }
  /// Elements of all factors, which lie one after another.
  std::int64_t numel() const noexcept { return numel_; }
  std::int64_t offset(std::size_t part) const noexcept { return offsets_[part]; }

  /// Orthonormal factor of a part that this step starts from.
  const float* current(std::size_t part) const noexcept { return half(flipped_) + offsets_[part]; }
  /// Takes numel() factors for the next step and orthonormalises them; directions that vanished start again at random.
  void propose(const float* factors, const CodecCall& call);
  void commit() noexcept;
  void rollback() noexcept { proposed_ = false; }

  /// Of the factors that the next step starts from. Between steps.
  std::uint64_t digest() const;
  void save(const StateSink& put) const;
  void load(const StateSource& get);

 private:
  float* half(bool second) const noexcept { return static_cast<float*>(memory_.data()) + (second ? numel_ : 0); }
  void complete(std::size_t part, float* factor, std::int64_t step, Stream stream);
  TensorView factor_of(std::size_t part) const;
  std::string name_of(const CompressedPart& part) const;

  const BucketParts& parts_;
  FactorSide side_;
  CodecSettings settings_;
  std::vector<std::int64_t> offsets_;
  std::int64_t numel_ = 0;
  Workspace memory_;
  Workspace scratch_;
  const PackKernels& kernels_;
  bool flipped_ = false;
  bool proposed_ = false;
};

}  // namespace panther::comm
