// Sketches of matrices that are split over ranks, the ranks being threads, against the single-process product.
#include <gtest/gtest.h>
#include <omp.h>

#include <barrier>
#include <cstring>
#include <thread>

#include "tests/kernels/sketch_fixture.h"

namespace panther {
namespace {

using test::Array;

/// Sums in rank order, the same bits for all.
class RankSum {
 public:
  explicit RankSum(int ranks) : parts_(static_cast<std::size_t>(ranks)), meet_(ranks) {}

  SumOverRanks of(int rank) {
    return [this, rank](const TensorView& view) {
      parts_[static_cast<std::size_t>(rank)] = view;
      meet_.arrive_and_wait();
      std::vector<double> sum(static_cast<std::size_t>(view.numel()));
      for (const TensorView& part : parts_) {
        for (std::int64_t i = 0; i < view.numel(); ++i) sum[static_cast<std::size_t>(i)] += test::load(part.data, part.dtype, i);
      }
      meet_.arrive_and_wait();
      for (std::int64_t i = 0; i < view.numel(); ++i) test::store(view.data, view.dtype, i, sum[static_cast<std::size_t>(i)]);
    };
  }

 private:
  std::vector<TensorView> parts_;
  std::barrier<> meet_;
};

void on_ranks(int ranks, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&body, rank] {
      omp_set_num_threads(1);
      body(rank);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class RowSplit : public testing::TestWithParam<std::string> {};

constexpr std::int64_t kSketch = 40, kAmbient = 1003, kData = 21;

std::unique_ptr<SketchOperator> sketch_of(const std::string& kind) { return make_sketch(test::sketch_spec(kind, kSketch, kAmbient)); }

// Every sketch entry has magnitudes whose products with a add up to less than its row's norm times a column's: the orders of summation
// differ by at most the number of terms.
TEST_P(RowSplit, RowsSplitOverRanksGiveTheSameProduct) {
  const auto sketch = sketch_of(GetParam());
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Array a = test::random_matrix(dtype, kAmbient, kData, 3);
    const Array whole = test::applied(*sketch, {}, false, {}, 0.5, a, 0.0, test::make_matrix(dtype, kSketch, kData));
    double largest = 0;
    for (std::int64_t i = 0; i < kSketch * kData; ++i) largest = std::max(largest, std::abs(whole.at(i / kData, i % kData)));
    for (const int ranks : {1, 2, 3, 4, 7, 8}) {
      std::vector<Array> outs(static_cast<std::size_t>(ranks), test::make_matrix(dtype, kSketch, kData));
      RankSum sum(ranks);
      on_ranks(ranks, [&](int rank) {
        const std::int64_t first = rank * kAmbient / ranks, last = (rank + 1) * kAmbient / ranks;
        apply_row_split(*sketch, {}, first, 0.5, a.view.slice(first, last - first), outs[static_cast<std::size_t>(rank)].view, sum.of(rank));
      });
      for (const Array& out : outs) {
        ASSERT_EQ(out.bytes, outs[0].bytes) << "every rank has the same bits";
        for (std::int64_t i = 0; i < kSketch * kData; ++i) {
          ASSERT_NEAR(out.at(i / kData, i % kData), whole.at(i / kData, i % kData), 60 * test::unit_roundoff(dtype) * largest) << ranks << " ranks";
        }
      }
    }
  }
}

// Whoever needs a block of S makes it alone: bits of the whole.
TEST_P(RowSplit, EveryRankMakesItsColumnsOfS) {
  const auto sketch = sketch_of(GetParam());
  const Array whole = test::materialized(*sketch, {}, {}, DType::f32);
  for (const int ranks : {2, 3, 4, 7, 8}) {
    std::vector<Array> parts(static_cast<std::size_t>(ranks));
    on_ranks(ranks, [&](int rank) {
      const std::int64_t first = rank * kAmbient / ranks, last = (rank + 1) * kAmbient / ranks;
      const auto own = sketch_of(GetParam());
      parts[static_cast<std::size_t>(rank)] = test::materialized(*own, {}, {0, kSketch, first, last - first}, DType::f32);
    });
    for (int rank = 0; rank < ranks; ++rank) {
      const Array& part = parts[static_cast<std::size_t>(rank)];
      for (std::int64_t i = 0; i < kSketch; ++i) {
        for (std::int64_t j = 0; j < part.view.shape[1]; ++j) ASSERT_EQ(part.at(i, j), whole.at(i, rank * kAmbient / ranks + j));
      }
    }
  }
}

// A split by columns: no communication, and bit for bit the columns of the whole product.
TEST_P(RowSplit, ColumnsSplitOverRanksAreExact) {
  const auto sketch = sketch_of(GetParam());
  for (const test::Layout layout : {test::Layout::rows, test::Layout::columns}) {
    const Array a = test::random_matrix(DType::f32, kAmbient, kData, 4, layout);
    const Array whole = test::applied(*sketch, {}, false, {}, 1.0, a, 0.0, test::make_matrix(DType::f32, kSketch, kData));
    for (const int ranks : {2, 3, 4, 7, 8}) {
      on_ranks(ranks, [&](int rank) {
        const std::int64_t first = rank * kData / ranks, count = (rank + 1) * kData / ranks - first;
        Array out = test::make_matrix(DType::f32, kSketch, count);
        sketch->apply({}, false, {}, 1.0, a.view.transposed().slice(first, count).transposed(), 0.0, out.view);
        for (std::int64_t i = 0; i < kSketch; ++i) {
          for (std::int64_t c = 0; c < count; ++c) EXPECT_EQ(out.at(i, c), whole.at(i, first + c)) << ranks << " ranks, column " << first + c;
        }
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, RowSplit, testing::ValuesIn(sketch_operators().names()), [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace panther
