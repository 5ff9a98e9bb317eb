#pragma once
// out_MC = sum of +-rows of a, for contiguous rows on processors with AVX-512: half a KiB of every row at a time, the sums of those columns in the
// second-level cache. Nothing is packed and nothing sorted, and a is read once, ahead of its turn.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sparse_scatter_steps.h"

namespace panther::cpu {

/// Of all sums at a time.
inline constexpr std::int64_t kSumBytes = std::int64_t{64} << 20;
inline constexpr std::int64_t kChunkEntries = 64 * 1024;
inline constexpr std::int64_t kGroupChunks = 16;

template <class T>
class RowScatter {
 public:
  /// Whether it is the faster way: contiguous rows of its own type, sums of a piece that fit, whole pieces, enough of them for all threads.
  static bool takes(const TensorView& a, const TensorView& out) {
    static const bool built = add_rows_avx512(T{}) != nullptr;
    const std::int64_t pieces = a.shape[1] / kPieceLanes<T>;
    return built && size_of(a.dtype) == sizeof(T) && a.strides[1] == 1 && out.shape[0] * kPieceBytes <= kSumsCached && a.shape[0] >= kLeastRows &&
           a.shape[1] % kPieceLanes<T> == 0 && (pieces % worker_count() == 0 || pieces >= 4 * worker_count());
  }

  RowScatter(const SparseWindow& window, const TensorView& a, const TensorView& out, Allocator& allocator)
      : window_(window), a_(a), out_(out), chunk_majors_(std::min(std::max<std::int64_t>(kChunkEntries / window.pattern.nonzeros, 64), a.shape[0])),
        chunk_bytes_(chunk_bytes(window.pattern, chunk_majors_, out.shape[0])),
        pieces_at_once_(std::clamp<std::int64_t>(kSumBytes / piece_bytes(), 1, pieces())),
        sums_(allocator, static_cast<std::size_t>(pieces_at_once_ * piece_bytes()), {}, {}),
        entries_(allocator, static_cast<std::size_t>(std::min(kGroupChunks, chunks_of(a.shape[0])) * chunk_bytes_), {}, {}) {}

  void run(T alpha, T beta) {
    for (std::int64_t first = 0; first < pieces(); first += pieces_at_once_) {
      const std::int64_t count = std::min(pieces_at_once_, pieces() - first);
      parallel_for(count, count * piece_bytes(), [&](std::int64_t p) { std::memset(sums(p), 0, static_cast<std::size_t>(piece_bytes())); });
      for (std::int64_t row = 0; row < a_.shape[0]; row += kGroupChunks * chunk_majors_) add_group(first, count, row);
      parallel_for(count, count * piece_bytes(), [&](std::int64_t p) {
        store_strip(sums(p), alpha, beta, out_, 0, out_.shape[0], (first + p) * kPieceLanes<T>, static_cast<int>(kPieceLanes<T>));
      });
    }
  }

 private:
  static constexpr std::int64_t kPieceBytes = kPieceLanes<T> * static_cast<std::int64_t>(sizeof(T));
  /// Of a piece's sums: most of a second-level cache of 1 MiB, which processors with AVX-512 have at least.
  static constexpr std::int64_t kSumsCached = 768 * 1024;
  static constexpr std::int64_t kLeastRows = 4096;

  std::int64_t chunks_of(std::int64_t rows) const { return (rows + chunk_majors_ - 1) / chunk_majors_; }
  std::int64_t pieces() const { return a_.shape[1] / kPieceLanes<T>; }
  std::int64_t piece_bytes() const { return out_.shape[0] * kPieceBytes; }
  T* sums(std::int64_t piece) const { return reinterpret_cast<T*>(static_cast<std::byte*>(sums_.data()) + piece * piece_bytes()); }

  void add_group(std::int64_t first_piece, std::int64_t count, std::int64_t first_row) {
    PatternChunk made[kGroupChunks];
    const std::int64_t rows = std::min(a_.shape[0] - first_row, kGroupChunks * chunk_majors_), chunks = chunks_of(rows);
    parallel_for(chunks, 32 * rows * window_.pattern.nonzeros, [&](std::int64_t i) {
      made[i] = make_chunk(window_.pattern, window_.first_major + first_row + i * chunk_majors_, std::min(chunk_majors_, rows - i * chunk_majors_),
                           window_.first_minor, out_.shape[0], static_cast<std::byte*>(entries_.data()) + i * chunk_bytes_, false);
    });
    parallel_for(count, rows * window_.pattern.nonzeros * count * kPieceLanes<T>, [&](std::int64_t p) {
      for (std::int64_t i = 0; i < chunks; ++i) {
        const T* rows_of_chunk = a_.as<const T>() + (first_row + i * chunk_majors_) * a_.strides[0] + (first_piece + p) * kPieceLanes<T>;
        add_rows_avx512(T{})(made[i], rows_of_chunk, a_.strides[0], sums(p));
      }
    });
  }

  const SparseWindow& window_;
  const TensorView& a_;
  const TensorView& out_;
  std::int64_t chunk_majors_, chunk_bytes_, pieces_at_once_;
  Workspace sums_, entries_;
};

}  // namespace panther::cpu
