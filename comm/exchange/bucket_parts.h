#pragma once
// What every lossy codec does with the rest: which gradients of a bucket are compressed, and how the others travel beside them.
#include <vector>

#include "comm/exchange/codec.h"

namespace panther::comm {

/// One compressed gradient. `values` is where its f32 elements are: in the bucket, or in staging memory for other dtypes.
struct CompressedPart {
  CodecMember member;
  TensorView values;
  std::int64_t start = 0;  ///< elements before it in memory that holds all compressed gradients (residuals); a multiple of 16
};

/// Vectors, small matrices and the tail are `exact`: they travel as f32 (f64 gradients are rounded to that, two-byte ones widened),
/// summed without loss beyond it. Not thread safe.
class BucketParts {
 public:
  using Choice = bool (*)(const CodecMember& member, const CodecSettings& settings);

  /// Compresses the matrices of at least settings.min_numel elements for which `also` (may be null) holds.
  BucketParts(const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator, Choice also = nullptr);

  Device device() const noexcept { return bucket_.device; }
  const std::vector<CompressedPart>& compressed() const noexcept { return compressed_; }
  /// Length of memory that holds all compressed gradients, padding included.
  std::int64_t compressed_numel() const noexcept { return compressed_numel_; }
  /// Elements of the largest one; 0 when there is none.
  std::int64_t largest_numel() const noexcept;
  std::int64_t exact_numel() const noexcept { return exact_numel_; }

  /// Between bucket and staging memory; nothing for f32 buckets.
  void load(const CodecCall& call) const;
  void store(const CodecCall& call) const;
  /// Between the exact elements of the bucket and exact_numel() contiguous f32.
  void pack_exact(const TensorView& wire, const CodecCall& call) const;
  void unpack_exact(const TensorView& wire, const CodecCall& call) const;

 private:
  struct Range {
    std::int64_t offset = 0;
    std::int64_t numel = 0;
  };
  void add_exact(std::int64_t offset, std::int64_t numel);

  TensorView bucket_;
  std::vector<CompressedPart> compressed_;
  std::vector<Range> exact_;
  std::int64_t compressed_numel_ = 0;
  std::int64_t exact_numel_ = 0;
  Workspace staging_;
};

/// True for a matrix that a codec may compress: at least two rows and columns, at least settings.min_numel elements, and no gradient of a
/// sketched layer unless settings.compress_sketched.
bool is_large_matrix(const CodecMember& member, const CodecSettings& settings);

/// Key of a member's random choices: of its name, never of its place, so that re-bucketing changes no choice.
std::uint64_t member_key(const CodecMember& member, const CodecSettings& settings);

}  // namespace panther::comm
