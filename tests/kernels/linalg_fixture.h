#pragma once
// Ranks as threads, and reference arithmetic for the decompositions' tests.
#include <algorithm>
#include <atomic>
#include <barrier>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/error.h"
#include "kernels/linalg/context.h"
#include "tests/kernels/dense.h"
#include "tests/kernels/test_matrices.h"

namespace panther::test {

/// Sums views of all ranks in rank order, so every rank gets the same bits.
class RankSum {
 public:
  explicit RankSum(int ranks) : views_(static_cast<std::size_t>(ranks)), barrier_(ranks) {}

  SumOverRanks of(int rank) {
    return [this, rank](const TensorView& view) {
      views_[static_cast<std::size_t>(rank)] = view;
      barrier_.arrive_and_wait();
      // Set before its rank dropped, so all that wait here see the same: nobody leaves between two waits.
      if (left_) fail(ErrorCode::Internal, "another rank left before this sum");
      if (rank == 0) add_up();
      barrier_.arrive_and_wait();
      for (std::int64_t i = 0; i < view.numel(); ++i) store(view.data, view.dtype, i, total_[static_cast<std::size_t>(i)]);
      barrier_.arrive_and_wait();
    };
  }
  /// A rank that ends early (by an exception) makes the others' next sum fail rather than wait for it.
  void leave() {
    left_ = true;
    barrier_.arrive_and_drop();
  }

 private:
  void add_up() {
    total_.assign(static_cast<std::size_t>(views_[0].numel()), 0.0);
    for (const TensorView& view : views_) {
      for (std::int64_t i = 0; i < view.numel(); ++i) total_[static_cast<std::size_t>(i)] += load(view.data, view.dtype, i);
    }
  }
  std::vector<TensorView> views_;
  std::vector<double> total_;
  std::atomic<bool> left_ = false;
  std::barrier<> barrier_;
};

/// First row and number of rows of a rank: uneven, and empty for some ranks when rows < ranks.
inline std::pair<std::int64_t, std::int64_t> share_of(std::int64_t rows, int ranks, int rank) {
  const std::int64_t first = rows * rank * (rank + 1) / (static_cast<std::int64_t>(ranks) * (ranks + 1));
  const std::int64_t next = rows * (rank + 1) * (rank + 2) / (static_cast<std::int64_t>(ranks) * (ranks + 1));
  return {first, next - first};
}

/// Runs body(context, rank) on every rank; the first exception is thrown again.
inline void on_ranks(int ranks, std::int64_t total_rows, std::uint64_t seed, const std::function<void(const linalg::Context&, int)>& body) {
  RankSum sums(ranks);
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::exception_ptr first;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      linalg::Context context;
      context.sum_over_ranks = sums.of(rank);
      context.first_row = share_of(total_rows, ranks, rank).first;
      context.total_rows = total_rows;
      context.seed = seed;
      try {
        body(context, rank);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!first) first = std::current_exception();
      }
      sums.leave();
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

inline linalg::Context seeded(std::uint64_t seed) {
  linalg::Context context;
  context.seed = seed;
  return context;
}

/// u diag(s) v^T
inline Dense compose(const TensorView& u, const TensorView& s, const TensorView& v) {
  Dense left = dense_of(u);
  const Dense values = dense_of(s), right = dense_of(v);
  for (std::int64_t j = 0; j < left.columns; ++j) {
    for (std::int64_t i = 0; i < left.rows; ++i) left(i, j) *= values(j, 0);
  }
  return multiply(left, transposed(right));
}

/// Frobenius norm of what is left beyond the first k singular values.
inline double tail(const std::vector<double>& s, std::int64_t k) {
  double sum = 0;
  for (std::size_t j = static_cast<std::size_t>(k); j < s.size(); ++j) sum += s[j] * s[j];
  return std::sqrt(sum);
}

}  // namespace panther::test
