#include "kernels/sketch/signs.h"

#include <gtest/gtest.h>
#include <omp.h>

#include "core/error.h"
#include "kernels/kernel_set.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;

constexpr SignKey kKey = SignKey::of(17, "blocks.0.mlp.up.u1", 3);

double sign(SignKey key, std::int64_t vector, std::int64_t element) {
  return sign_is_negative(key, static_cast<std::uint32_t>(vector), static_cast<std::uint32_t>(element)) ? -1.0 : 1.0;
}

void expect_expansion(const Array& out, std::int64_t first_vector, std::int64_t first_element, double scale) {
  for (std::int64_t v = 0; v < out.view.shape[0]; ++v) {
    for (std::int64_t e = 0; e < out.view.shape[1]; ++e) {
      ASSERT_EQ(out.at(v, e), scale * sign(kKey, first_vector + v, first_element + e)) << "vector " << v << " element " << e;
    }
  }
}

// The rule written out from its definition, without sign_block.
TEST(Signs, DefinitionAtRandomPlaces) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto vector = static_cast<std::uint32_t>(mix64(1, trial)), element = static_cast<std::uint32_t>(mix64(2, trial));
    const std::uint64_t key = mix64(17, hash_name("a.b", 3));
    const PhiloxBlock block = philox({{element / 128, vector, 3, 1}}, {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
    EXPECT_EQ(sign_is_negative(SignKey::of(17, "a.b", 3), vector, element), (block.word[element % 128 / 32] >> element % 32 & 1u) != 0);
  }
}

TEST(Signs, ExpandMatchesTheRuleInEveryDtypeAndLayout) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    for (const Layout layout : {Layout::rows, Layout::columns, Layout::padded, Layout::spread}) {
      for (const auto& [vectors, elements, first_vector, first_element] :
           {std::array<std::int64_t, 4>{1, 1, 0, 0}, {3, 129, 0, 0}, {17, 200, 5, 77}, {2, 5000, 1000000, 127}, {40, 33, 0, 4096}, {0, 4, 0, 0}}) {
        Array out = test::random_matrix(dtype, vectors, elements, 4, layout);
        cpu_kernels().sign_expand(kKey, first_vector, first_element, 0.25, out.view, {});
        expect_expansion(out, first_vector, first_element, 0.25);
      }
    }
  }
}

// kernels/cpu/sign_table.h's sum written out: whatever instructions a processor has, the bits are these.
template <class T>
void expect_sums_in_order(DType dtype, bool lift) {
  constexpr std::int64_t rows = 37, depth = 302, outputs = 70;
  const Array x = test::random_matrix(dtype, rows, depth, 8, Layout::rows), out = test::make_matrix(dtype, rows, outputs);
  (lift ? cpu_kernels().sign_lift : cpu_kernels().sign_project)(kKey, 1.0, x.view, 0.0, out.view, {});
  const auto term = [&](std::int64_t b, std::int64_t k, std::int64_t o) -> T {
    if (k >= depth) return 0;
    return x.view.as<const T>()[b * depth + k] * static_cast<T>(lift ? sign(kKey, k, o) : sign(kKey, o, k));
  };
  for (std::int64_t b = 0; b < rows; ++b) {
    for (std::int64_t o = 0; o < outputs; ++o) {
      T sum = 0;
      for (std::int64_t k = 0; k < depth; k += 4) sum += (term(b, k, o) + term(b, k + 1, o)) + (term(b, k + 2, o) + term(b, k + 3, o));
      ASSERT_EQ(out.view.as<const T>()[b * outputs + o], sum) << "row " << b << ", output " << o;
    }
  }
}

TEST(Signs, ProductsAddInTheStatedOrder) {
  for (const bool lift : {false, true}) {
    expect_sums_in_order<float>(DType::f32, lift);
    expect_sums_in_order<double>(DType::f64, lift);
  }
}

TEST(Signs, ExpandReachesTheLastCounters) {
  constexpr std::int64_t last = (std::int64_t{1} << 32) - 1;
  Array out = test::make_matrix(DType::f32, 2, 300);
  cpu_kernels().sign_expand(kKey, last - 1, last - 299, 1.0, out.view, {});
  expect_expansion(out, last - 1, last - 299, 1.0);
  EXPECT_THROW(cpu_kernels().sign_expand(kKey, last, 0, 1.0, out.view, {}), Error);
  EXPECT_THROW(cpu_kernels().sign_expand(kKey, 0, last - 298, 1.0, out.view, {}), Error);
}

TEST(Signs, AppendingVectorsChangesNoOldSign) {
  Array small = test::make_matrix(DType::f32, 8, 500), large = test::make_matrix(DType::f32, 29, 500);
  cpu_kernels().sign_expand(kKey, 0, 0, 1.0, small.view, {});
  cpu_kernels().sign_expand(kKey, 0, 0, 1.0, large.view, {});
  EXPECT_EQ(std::memcmp(small.bytes.data(), large.bytes.data(), static_cast<std::size_t>(small.view.bytes())), 0);
}

TEST(Signs, ASliceIsTheSliceOfTheWhole) {
  Array whole = test::make_matrix(DType::bf16, 20, 700), part = test::make_matrix(DType::bf16, 5, 301);
  cpu_kernels().sign_expand(kKey, 0, 0, 1.0, whole.view, {});
  cpu_kernels().sign_expand(kKey, 9, 233, 1.0, part.view, {});
  for (int v = 0; v < 5; ++v) {
    for (int e = 0; e < 301; ++e) ASSERT_EQ(part.at(v, e), whole.at(9 + v, 233 + e));
  }
}

// Sums of n independent signs have variance n; pairs of rows and of keys too. 400 sums: chi-square within 5 deviations.
TEST(Signs, AreBalancedAndUncorrelated) {
  constexpr std::int64_t vectors = 400, elements = 1024;
  Array out = test::make_matrix(DType::f64, vectors, elements), other = test::make_matrix(DType::f64, vectors, elements);
  cpu_kernels().sign_expand(kKey, 0, 0, 1.0, out.view, {});
  cpu_kernels().sign_expand(SignKey::of(17, "blocks.0.mlp.up.u2", 3), 0, 0, 1.0, other.view, {});
  double balance = 0, neighbours = 0, keys = 0;
  for (std::int64_t v = 0; v < vectors; ++v) {
    double sum = 0, next = 0, cross = 0;
    for (std::int64_t e = 0; e < elements; ++e) {
      sum += out.at(v, e);
      next += out.at(v, e) * out.at((v + 1) % vectors, e);
      cross += out.at(v, e) * other.at(v, e);
    }
    balance += sum * sum / elements / vectors;
    neighbours += next * next / elements / vectors;
    keys += cross * cross / elements / vectors;
  }
  const double tolerance = 5 * std::sqrt(2.0 / vectors);
  EXPECT_NEAR(balance, 1.0, tolerance);
  EXPECT_NEAR(neighbours, 1.0, tolerance);
  EXPECT_NEAR(keys, 1.0, tolerance);
}

/// Against the plain triple sum in f64. Every term of the f32 sum carries at most depth roundings.
void expect_products(DType dtype, std::int64_t rows, std::int64_t vectors, std::int64_t elements, Layout layout) {
  const double alpha = 0.5, beta = -0.75;
  for (const bool lift : {false, true}) {
    const std::int64_t depth = lift ? vectors : elements, columns = lift ? elements : vectors;
    const Array x = test::random_matrix(dtype, rows, depth, 5, layout);
    const Array before = test::random_matrix(dtype, rows, columns, 6, layout);
    Array out = before;
    if (lift) cpu_kernels().sign_lift(kKey, alpha, x.view, beta, out.view, {});
    else cpu_kernels().sign_project(kKey, alpha, x.view, beta, out.view, {});
    const double arithmetic = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        double sum = 0, magnitude = 0;
        for (std::int64_t k = 0; k < depth; ++k) {
          sum += x.at(i, k) * (lift ? sign(kKey, k, j) : sign(kKey, j, k));
          magnitude += std::abs(x.at(i, k));
        }
        const double expected = alpha * sum + beta * before.at(i, j);
        const double bound = arithmetic * (static_cast<double>(depth) + 4) * (magnitude + 1) + test::unit_roundoff(dtype) * std::abs(expected) + 0x1p-25 * (dtype == DType::f16);
        ASSERT_NEAR(out.at(i, j), expected, bound) << dtype_name(dtype) << (lift ? " lift " : " project ") << i << "," << j;
      }
    }
  }
}

TEST(Signs, ProductsMatchTheStoredMatrix) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    expect_products(dtype, 1, 1, 1, Layout::rows);
    expect_products(dtype, 7, 33, 130, Layout::rows);
    expect_products(dtype, 5, 140, 517, Layout::columns);
    expect_products(dtype, 100, 20, 300, Layout::spread);
    expect_products(dtype, 3, 0, 40, Layout::rows);
    expect_products(dtype, 3, 40, 0, Layout::padded);
  }
}

TEST(Signs, ThreadCountChangesNoBit) {
  const int threads = omp_get_max_threads();
  const Array x = test::random_matrix(DType::f32, 200, 1000, 8);
  std::vector<Array> expanded, projected;
  for (const int count : {1, 2, 3}) {
    omp_set_num_threads(count);
    Array signs = test::make_matrix(DType::f32, 64, 3000), product = test::make_matrix(DType::f32, 200, 150);
    cpu_kernels().sign_expand(kKey, 0, 3, 1.0, signs.view, {});
    cpu_kernels().sign_project(kKey, 1.0, x.view, 0.0, product.view, {});
    expanded.push_back(std::move(signs));
    projected.push_back(std::move(product));
  }
  omp_set_num_threads(threads);
  for (const int other : {1, 2}) {
    EXPECT_EQ(expanded[0].bytes, expanded[other].bytes);
    EXPECT_EQ(projected[0].bytes, projected[other].bytes);
  }
}

}  // namespace
}  // namespace panther
