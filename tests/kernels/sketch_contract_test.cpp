// Every operator of the registry on every device: blocks, products against the materialised S in f64, threads, growth, memory, errors.
#include <omp.h>

#include <algorithm>

#include "core/error.h"
#include "tests/kernels/sketch_fixture.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;

constexpr DType kDtypes[] = {DType::f64, DType::f32, DType::bf16};
struct Size {
  std::int64_t k, n;
};
constexpr Size kSizes[] = {{1, 1}, {1, 7}, {3, 5}, {31, 131}, {64, 257}};

class SketchContract : public testing::TestWithParam<std::tuple<DeviceKind, std::string>> {
 protected:
  void SetUp() override {
    if (device() == DeviceKind::cuda && cuda_kernels() == nullptr) GTEST_SKIP() << why_no_cuda();
  }
  static DeviceKind device() { return std::get<0>(GetParam()); }
  static std::string kind() { return std::get<1>(GetParam()); }
  static SketchContext context() { return {.kernels = kernels_for(device())}; }
};

/// Blocks with odd offsets and sizes, an empty one, and all.
std::vector<SketchBlock> blocks_of(const Size& size) {
  std::vector<SketchBlock> blocks = {{}, {size.k - 1, 1, size.n - 1, 1}, {0, 0, 0, size.n}};
  if (size.k >= 31) blocks.insert(blocks.end(), {{5, 17, 3, 101}, {0, size.k, 128, -1}, {7, -1, 0, 50}});
  for (SketchBlock& b : blocks) {
    if (b.rows < 0) b.rows = size.k - b.first_row;
    if (b.columns < 0) b.columns = size.n - b.first_column;
  }
  return blocks;
}

std::string text(const SketchBlock& b) { return concat("rows ", b.first_row, "+", b.rows, " columns ", b.first_column, "+", b.columns); }

TEST_P(SketchContract, ABlockIsTheSliceOfTheWhole) {
  for (const Size& size : kSizes) {
    const auto sketch = make_sketch(test::sketch_spec(kind(), size.k, size.n));
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
      const Array whole = test::materialized(*sketch, context(), {}, dtype, 0.75);
      for (const SketchBlock& block : blocks_of(size)) {
        for (const Layout layout : {Layout::rows, Layout::columns, Layout::spread}) {
          const Array part = test::materialized(*sketch, context(), block, dtype, 0.75, layout);
          for (std::int64_t i = 0; i < block.rows; ++i) {
            for (std::int64_t j = 0; j < block.columns; ++j) ASSERT_EQ(part.at(i, j), whole.at(block.first_row + i, block.first_column + j)) << text(block);
          }
        }
      }
    }
  }
}

/// Of the sum of `depth` products whose magnitudes add up to `magnitude`: each carries at most depth + 20 roundings (an operator may
/// pass through stages: the constant, and `stage` times the norm-wise bound, cover them), then one rounding to the dtype.
double product_bound(DType dtype, std::int64_t depth, double magnitude, double norm_wise, double value) {
  const double unit = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
  return unit * static_cast<double>(depth + 20) * (magnitude + 8 * norm_wise) + test::unit_roundoff(dtype) * std::abs(value) * 1.01;
}

struct Product {
  bool transpose;
  SketchBlock block;
  double alpha, beta;
};

/// out against alpha op(S) a + beta before, S in f64.
void expect_product(const Array& s, const Product& p, const Array& a, const Array& before, const Array& out) {
  const std::int64_t rows = p.transpose ? p.block.columns : p.block.rows, depth = p.transpose ? p.block.rows : p.block.columns;
  std::vector<double> left(static_cast<std::size_t>(depth));
  double largest_row = 0;
  const auto entry = [&](std::int64_t i, std::int64_t j) {
    return p.transpose ? s.at(p.block.first_row + j, p.block.first_column + i) : s.at(p.block.first_row + i, p.block.first_column + j);
  };
  for (std::int64_t i = 0; i < s.view.shape[0]; ++i) {
    double square = 0;
    for (std::int64_t j = 0; j < s.view.shape[1]; ++j) square += s.at(i, j) * s.at(i, j);
    largest_row = std::max(largest_row, std::sqrt(square));
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t c = 0; c < a.view.shape[1]; ++c) {
      double sum = 0, magnitude = 0, norm = 0;
      for (std::int64_t j = 0; j < depth; ++j) {
        const double term = entry(i, j) * a.at(j, c);
        sum += term, magnitude += std::abs(term), norm += a.at(j, c) * a.at(j, c);
      }
      const double start = p.beta == 0 ? 0 : p.beta * before.at(i, c);
      const double expected = p.alpha * sum + start;
      const double bound = product_bound(out.view.dtype, depth, std::abs(p.alpha) * magnitude + std::abs(start), std::abs(p.alpha) * largest_row * std::sqrt(norm), expected);
      ASSERT_NEAR(out.at(i, c), expected, bound) << dtype_name(out.view.dtype) << (p.transpose ? " S^T a " : " S a ") << text(p.block) << " at " << i << "," << c;
    }
  }
}

/// Bytes between the elements of a padded or spread view stay as they are.
void expect_gaps_untouched(const Array& before, const Array& after) {
  Array restored = after;
  for (std::int64_t i = 0; i < before.view.shape[0]; ++i) {
    for (std::int64_t j = 0; j < before.view.shape[1]; ++j) restored.set(i, j, before.at(i, j));
  }
  EXPECT_EQ(restored.bytes, before.bytes);
}

TEST_P(SketchContract, ProductsAreThoseOfTheMaterialisedOperator) {
  for (const Size& size : kSizes) {
    const auto sketch = make_sketch(test::sketch_spec(kind(), size.k, size.n));
    const Array s = test::materialized(*sketch, context(), {}, DType::f64);
    for (const DType dtype : kDtypes) {
      for (const bool transpose : {false, true}) {
        for (const SketchBlock& block : blocks_of(size)) {
          for (const std::int64_t columns : {std::int64_t{1}, std::int64_t{19}}) {
            for (const auto& [in, to] : {std::pair{Layout::rows, Layout::columns}, {Layout::columns, Layout::padded}, {Layout::spread, Layout::rows}}) {
              const Product p{transpose, block, 0.5, columns == 1 ? 0.0 : -0.75};
              const Array a = test::random_matrix(dtype, transpose ? block.rows : block.columns, columns, 5, in);
              const Array before = test::random_matrix(dtype, transpose ? block.columns : block.rows, columns, 6, to);
              const Array out = test::applied(*sketch, context(), transpose, block, p.alpha, a, p.beta, before);
              ASSERT_NO_FATAL_FAILURE(expect_product(s, p, a, before, out));
              expect_gaps_untouched(before, out);
            }
          }
        }
      }
    }
  }
}

// More columns and more of S than one tile of any kernel.
TEST_P(SketchContract, ProductsOverManyTiles) {
  const Size size{200, 1500};
  const auto sketch = make_sketch(test::sketch_spec(kind(), size.k, size.n));
  const Array s = test::materialized(*sketch, context(), {}, DType::f64);
  for (const DType dtype : kDtypes) {
    for (const bool transpose : {false, true}) {
      const Product p{transpose, {0, size.k, 0, size.n}, 1.0, 1.0};
      const Layout layout = transpose ? Layout::columns : Layout::rows;
      const Array a = test::random_matrix(dtype, transpose ? size.k : size.n, 37, 1, layout);
      const Array before = test::random_matrix(dtype, transpose ? size.n : size.k, 37, 2, layout);
      ASSERT_NO_FATAL_FAILURE(expect_product(s, p, a, before, test::applied(*sketch, context(), transpose, {}, 1.0, a, 1.0, before)));
    }
  }
}

TEST_P(SketchContract, FromTheRight) {
  const Size size{31, 131};
  const auto sketch = make_sketch(test::sketch_spec(kind(), size.k, size.n));
  const Array s = test::materialized(*sketch, context(), {}, DType::f64);
  for (const bool transpose : {false, true}) {  // a S^T and a S
    const Array a = test::random_matrix(DType::f64, 11, transpose ? size.n : size.k, 3);
    const std::int64_t columns = transpose ? size.k : size.n;
    test::DeviceCopy input(context().kernels, a), output(context().kernels, test::make_matrix(DType::f64, 11, columns));
    apply_right(*sketch, context(), transpose, 1.0, input.view(), 0.0, output.view());
    const Array out = output.fetch();
    for (std::int64_t i = 0; i < 11; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        double sum = 0;
        for (std::int64_t p = 0; p < a.view.shape[1]; ++p) sum += a.at(i, p) * (transpose ? s.at(j, p) : s.at(p, j));
        ASSERT_NEAR(out.at(i, j), sum, 1e-12);
      }
    }
  }
}

TEST_P(SketchContract, BetaZeroNeverReadsOut) {
  const Size size{31, 131};
  const auto sketch = make_sketch(test::sketch_spec(kind(), size.k, size.n));
  for (const DType dtype : kDtypes) {
    for (const bool transpose : {false, true}) {
      const Array a = test::random_matrix(dtype, transpose ? size.k : size.n, 9, 4);
      Array out = test::make_matrix(dtype, transpose ? size.n : size.k, 9);
      for (std::int64_t i = 0; i < out.view.shape[0]; ++i) {
        for (std::int64_t j = 0; j < 9; ++j) out.set(i, j, NAN);
      }
      const Array result = test::applied(*sketch, context(), transpose, {}, 1.0, a, 0.0, out);
      for (std::int64_t i = 0; i < out.view.shape[0]; ++i) {
        for (std::int64_t j = 0; j < 9; ++j) ASSERT_TRUE(std::isfinite(result.at(i, j))) << dtype_name(dtype) << i << "," << j;
      }
    }
  }
}

TEST_P(SketchContract, ThreadCountAndRepetitionChangeNoBit) {
  const Size size{130, 1100};
  const auto sketch = make_sketch(test::sketch_spec(kind(), size.k, size.n));
  const int threads = omp_get_max_threads();
  for (const DType dtype : kDtypes) {
    for (const bool transpose : {false, true}) {
      const Array a = test::random_matrix(dtype, transpose ? size.k : size.n, 203, 8), out = test::make_matrix(dtype, transpose ? size.n : size.k, 203);
      std::vector<Array> results;
      for (const int count : {1, 2, 3, 1}) {
        omp_set_num_threads(count);
        results.push_back(test::applied(*sketch, context(), transpose, {}, 1.0, a, 0.0, out));
      }
      omp_set_num_threads(threads);
      for (const Array& other : results) EXPECT_TRUE(results[0].bytes == other.bytes) << dtype_name(dtype) << transpose;
    }
  }
}

TEST_P(SketchContract, EveryDeviceHasTheSameS) {
  const Size size{64, 257};
  const auto sketch = make_sketch(test::sketch_spec(kind(), size.k, size.n));
  const Array here = test::materialized(*sketch, context(), {}, DType::f32), cpu = test::materialized(*sketch, {}, {}, DType::f32);
  if (kind() != "haar") {
    EXPECT_EQ(here.bytes, cpu.bytes);
    return;
  }
  for (std::int64_t i = 0; i < size.k; ++i) {
    for (std::int64_t j = 0; j < size.n; ++j) ASSERT_NEAR(here.at(i, j), cpu.at(i, j), 1e-6);
  }
}

TEST_P(SketchContract, NamesSeedsAndEpochsGiveOtherOperators) {
  const SketchSpec base = test::sketch_spec(kind(), 64, 257);
  SketchSpec seed = base, name = base, epoch = base;
  seed.seed = 8, name.name = "other", epoch.epoch = 1;
  const Array first = test::materialized(*make_sketch(base), context(), {}, DType::f32);
  EXPECT_EQ(first.bytes, test::materialized(*make_sketch(base), context(), {}, DType::f32).bytes);
  for (const SketchSpec& other : {seed, name, epoch}) EXPECT_NE(first.bytes, test::materialized(*make_sketch(other), context(), {}, DType::f32).bytes);
}

TEST_P(SketchContract, RowsThatAreThereStayWhenItGrows) {
  const auto small = make_sketch(test::sketch_spec(kind(), 33, 257)), large = make_sketch(test::sketch_spec(kind(), 64, 257));
  if (small->growth() != SketchGrowth::rows) GTEST_SKIP() << kind() << " does not grow along its rows";
  for (const DType dtype : kDtypes) {
    const Array whole = test::materialized(*small, context(), {}, dtype), part = test::materialized(*large, context(), {0, 33, 0, 257}, dtype);
    EXPECT_EQ(whole.bytes, part.bytes);
  }
}

/// S of `rows` x `tall` times `columns` columns, both ways, at a few places.
void expect_tall_products(const std::string& kind, const SketchContext& context, std::int64_t rows_of_s, std::int64_t tall, std::int64_t columns) {
  const auto sketch = make_sketch(test::sketch_spec(kind, rows_of_s, tall));
  const Array s = test::materialized(*sketch, context, {}, DType::f64);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const bool transpose : {false, true}) {
      for (const test::Layout layout : {test::Layout::rows, test::Layout::columns}) {
        const std::int64_t depth = transpose ? rows_of_s : tall, rows = transpose ? tall : rows_of_s;
        const Array a = test::random_matrix(dtype, depth, columns, 8, layout), before = test::random_matrix(dtype, rows, columns, 9);
        const Array out = test::applied(*sketch, context, transpose, {}, 0.5, a, -1.0, before);
        for (std::int64_t i = 0; i < rows; i += transpose ? 1277 : 7) {
          for (std::int64_t c = 0; c < columns; c += 23) {
            double sum = 0, magnitude = 0, norm = 0, row = 0;
            for (std::int64_t j = 0; j < depth; ++j) {
              const double entry = transpose ? s.at(j, i) : s.at(i, j), value = a.at(j, c);
              sum += entry * value, magnitude += std::abs(entry * value), norm += value * value, row += entry * entry;
            }
            const double expected = 0.5 * sum - before.at(i, c);
            // Operators of several stages round norm-wise; ||S|| is at most a few times its rows' norms.
            const double bound = product_bound(dtype, depth, 0.5 * magnitude + std::abs(before.at(i, c)), 4 * 0.5 * std::sqrt(row) * std::sqrt(norm), expected);
            ASSERT_NEAR(out.at(i, c), expected, bound) << dtype_name(dtype) << (transpose ? " S^T a" : " S a") << " at " << i << "," << c;
          }
        }
      }
    }
  }
}

// Large enough for every special path: S by blocks, sums in shared memory.
TEST_P(SketchContract, ATallMatrixIsMultipliedByTheSameS) { expect_tall_products(kind(), context(), 96, 12800, 70); }

// Enough vectors and columns for tiles of the tensor cores, with ends that fill none.
TEST_P(SketchContract, ManyVectorsMeetManyColumns) { expect_tall_products(kind(), context(), 250, 6624, 184); }

TEST_P(SketchContract, OnlyHaarStoresAnything) {
  const Size size{256, 8192};
  const auto sketch = make_sketch(test::sketch_spec(kind(), size.k, size.n));
  for (const bool transpose : {false, true}) {
    test::CountingAllocator allocator;
    SketchContext counted{.kernels = context().kernels, .allocator = allocator};
    const Array a = test::random_matrix(DType::f32, transpose ? size.k : size.n, 3, 8);
    test::applied(*sketch, counted, transpose, {}, 1.0, a, 0.0, test::make_matrix(DType::f32, transpose ? size.n : size.k, 3));
    EXPECT_LT(allocator.peak(), static_cast<std::size_t>(size.k * size.n * 4 / 4)) << "a quarter of S in f32";
    EXPECT_EQ(allocator.held(), 0u) << "everything goes back";
  }
  // Haar declares a k x k factor; others at most a few words a row (which rows were sampled).
  const std::int64_t declared = sketch->cost({}, 3).stored_bytes;
  if (kind() == "haar") EXPECT_GE(declared, size.k * size.k * 4);
  else EXPECT_LE(declared, 16 * size.k);
}

TEST_P(SketchContract, CostFollowsTheShapes) {
  const auto sketch = make_sketch(test::sketch_spec(kind(), 64, 1024));
  const SketchCost one = sketch->cost({}, 1), many = sketch->cost({}, 100), part = sketch->cost({0, 32, 0, 512}, 100);
  EXPECT_GT(one.flops, 0);
  EXPECT_NEAR(many.flops, 100 * one.flops, 1e-9 * many.flops);
  EXPECT_EQ(many.generated, one.generated) << "entries are drawn once, however many columns";
  EXPECT_LE(part.flops, many.flops);
  EXPECT_LE(part.generated, many.generated);
  const bool dense = kind() == "gaussian" || kind() == "uniform" || kind() == "rademacher";
  if (!dense) return;
  EXPECT_EQ(many.flops, 2.0 * 64 * 1024 * 100);
  EXPECT_EQ(many.generated, kind() == "rademacher" ? 64 * 1024 / 32 : 64 * 1024);
}

/// The call throws InvalidArgument and its message has every one of `parts`.
template <class Call>
void expect_refused(const Call& call, const std::vector<std::string>& parts) {
  try {
    call();
    ADD_FAILURE() << "nothing thrown; expected a message with " << join(parts);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument) << error.what();
    for (const std::string& part : parts) EXPECT_NE(error.message().find(part), std::string::npos) << part << " is not in: " << error.message();
  }
}

TEST_P(SketchContract, RefusesBadArguments) {
  for (const auto& [k, n] : {std::pair{0, 5}, {-3, 5}}) expect_refused([&] { make_sketch(test::sketch_spec(kind(), k, n)); }, {kind(), std::to_string(k)});
  expect_refused([&] { make_sketch({.kind = kind(), .rows = 1, .columns = -7}); }, {kind(), "-7"});
  const auto sketch = make_sketch(test::sketch_spec(kind(), 3, 10));
  const auto apply = [&](const SketchBlock& block, bool transpose, const Array& a, const Array& out) {
    test::applied(*sketch, context(), transpose, block, 1.0, a, 0.0, out);
  };
  const auto matrix = [](std::int64_t rows, std::int64_t columns, DType dtype = DType::f32) { return test::make_matrix(dtype, rows, columns); };
  expect_refused([&] { apply({0, 4, 0, 10}, false, matrix(10, 2), matrix(4, 2)); }, {kind(), "4 rows"});
  expect_refused([&] { apply({0, 3, 9, 2}, false, matrix(2, 2), matrix(3, 2)); }, {kind(), "2 columns from 9"});
  expect_refused([&] { apply({-1, 2, 0, 10}, false, matrix(10, 2), matrix(2, 2)); }, {kind(), "-1"});
  expect_refused([&] { apply({}, false, matrix(11, 2), matrix(3, 2)); }, {kind(), "f32[11, 2]"});
  expect_refused([&] { apply({}, false, matrix(10, 2), matrix(3, 4)); }, {kind(), "f32[3, 4]"});
  expect_refused([&] { apply({}, true, matrix(10, 2), matrix(3, 2)); }, {kind(), "f32[10, 2]"});
  expect_refused([&] { apply({}, false, matrix(10, 2, DType::f64), matrix(3, 2)); }, {"f64[10, 2]", "f32[3, 2]"});
  expect_refused([&] { apply({}, false, matrix(10, 2, DType::f16), matrix(3, 2, DType::f16)); }, {"f16"});
  expect_refused([&] { sketch->materialize(context(), {}, 1.0, matrix(2, 10).view); }, {kind(), "f32[2, 10]"});
  expect_refused([&] { sketch->cost({0, 1, 0, 11}, 1); }, {kind(), "11"});
}

TEST(SketchRegistry, NamesTheNearestKind) {
  expect_refused([] { make_sketch({.kind = "gausian", .rows = 1, .columns = 1}); }, {"gausian", "'gaussian'"});
}

// Row-split application over blocks of rows summed in rank order equals the single-process product.
TEST_P(SketchContract, RowSplitSumsToTheWhole) {
  const Size size{31, 131};
  const auto sketch = make_sketch(test::sketch_spec(kind(), size.k, size.n));
  const Array a = test::random_matrix(DType::f64, size.n, 5, 9);
  const Array whole = test::applied(*sketch, context(), false, {}, 0.5, a, 0.0, test::make_matrix(DType::f64, size.k, 5));
  for (const std::int64_t ranks : {1, 3, 4}) {
    std::vector<double> sum(static_cast<std::size_t>(size.k * 5));
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      const std::int64_t first = rank * size.n / ranks, last = (rank + 1) * size.n / ranks;
      test::DeviceCopy input(context().kernels, a), out(context().kernels, test::make_matrix(DType::f64, size.k, 5));
      int calls = 0;
      apply_row_split(*sketch, context(), first, 0.5, input.view().slice(first, last - first), out.view(), [&](const TensorView&) { ++calls; });
      EXPECT_EQ(calls, 1);
      const Array part = out.fetch();
      for (std::int64_t i = 0; i < size.k * 5; ++i) sum[static_cast<std::size_t>(i)] += part.at(i / 5, i % 5);
    }
    for (std::int64_t i = 0; i < size.k * 5; ++i) EXPECT_NEAR(sum[static_cast<std::size_t>(i)], whole.at(i / 5, i % 5), 1e-12);
  }
}

std::string parameter_name(const testing::TestParamInfo<SketchContract::ParamType>& info) { return std::get<1>(info.param); }

INSTANTIATE_TEST_SUITE_P(Cpu, SketchContract, testing::Combine(testing::Values(DeviceKind::cpu), testing::ValuesIn(sketch_operators().names())), parameter_name);
INSTANTIATE_TEST_SUITE_P(Gpu, SketchContract, testing::Combine(testing::Values(DeviceKind::cuda), testing::ValuesIn(sketch_operators().names())), parameter_name);

}  // namespace
}  // namespace panther
