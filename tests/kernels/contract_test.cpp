// Every entry of a kernel set against the CPU's, over shapes, layouts and dtypes. The CPU set itself is held against its own
// single-threaded run, bit for bit.
#include <gtest/gtest.h>
#include <omp.h>

#include <memory>

#include "core/text.h"
#include "kernels/cuda/precision.h"
#include "kernels/linear/sketched_linear.h"
#include "tests/kernels/device_copy.h"

namespace panther {
namespace {

using test::Array;
using test::DeviceCopy;
using test::Layout;

constexpr DType kFloating[] = {DType::f64, DType::f32, DType::bf16, DType::f16};
constexpr DType kAll[] = {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64, DType::i32, DType::u8};
constexpr Layout kLayouts[] = {Layout::rows, Layout::columns, Layout::padded, Layout::spread};
constexpr std::int64_t kSizes[] = {0, 1, 7, 4096, 4099, 70001};
constexpr SignKey kKey = SignKey::of(5, "contract", 2);

class Contract : public testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    if (GetParam() == DeviceKind::cuda && cuda_kernels() == nullptr) GTEST_SKIP() << why_no_cuda();
    candidate_ = &kernels_for(GetParam());
  }
  bool is_cpu() const { return GetParam() == DeviceKind::cpu; }

  /// Runs body(kernels, views) on the reference and on the candidate, each with its own copies of `arrays`, and returns both
  /// results of array `out`.
  template <class Body>
  std::pair<Array, Array> run_both(const std::vector<Array>& arrays, std::size_t out, const Body& body) const {
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    Array reference = run(cpu_kernels(), arrays, out, body);
    omp_set_num_threads(2);
    Array candidate = run(*candidate_, arrays, out, body);
    omp_set_num_threads(threads);
    return {std::move(reference), std::move(candidate)};
  }

  static void expect_same_bytes(const std::pair<Array, Array>& both) { EXPECT_EQ(both.first.bytes, both.second.bytes); }

  /// Equal bits, or two nans: hardware conversions of nan between f32 and f64 differ in the payload.
  static void expect_same_values(const std::pair<Array, Array>& both) {
    for (std::int64_t i = 0; i < both.first.view.shape[0]; ++i) {
      const double a = both.first.at(i), b = both.second.at(i);
      ASSERT_TRUE((std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b))) << "element " << i << ": " << a << " and " << b;
    }
  }

  /// |difference| <= bound everywhere, and gaps between rows untouched.
  static void expect_near(const std::pair<Array, Array>& both, double bound) {
    const TensorView& view = both.first.view;
    for (std::int64_t i = 0; i < view.shape[0]; ++i) {
      for (std::int64_t j = 0; j < view.shape[1]; ++j) ASSERT_NEAR(both.first.at(i, j), both.second.at(i, j), bound) << i << "," << j;
    }
  }

 private:
  template <class Body>
  static Array run(const KernelSet& kernels, const std::vector<Array>& arrays, std::size_t out, const Body& body) {
    std::vector<std::unique_ptr<DeviceCopy>> copies;
    std::vector<TensorView> views;
    for (const Array& array : arrays) {
      copies.push_back(std::make_unique<DeviceCopy>(kernels, array));
      views.push_back(copies.back()->view());
    }
    body(kernels, views);
    return copies[out]->fetch();
  }

  const KernelSet* candidate_ = nullptr;
};

/// Two results of a sum of `depth` products of magnitude below `size`, each with its own order of additions and one final
/// rounding.
double product_bound(DType dtype, std::int64_t depth, double size) {
  const double arithmetic = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
  return (2 * arithmetic * static_cast<double>(depth + 6) + 2 * test::unit_roundoff(dtype)) * size + (dtype == DType::f16 ? 0x1p-24 : 0.0);
}

TEST_P(Contract, EveryEntryIsThere) {
  const KernelSet& set = kernels_for(GetParam());
  EXPECT_EQ(set.device, GetParam());
  EXPECT_TRUE(set.gemm && set.sign_expand && set.sign_project && set.sign_lift && set.cast && set.packed_sum && set.scale && set.sum_of_squares &&
              set.adamw && set.sgd);
}

TEST_P(Contract, Gemm) {
  std::vector<std::byte> none;
  for (const DType dtype : kFloating) {
    for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{0, 3, 2}, {3, 4, 0}, {1, 1, 1}, {5, 7, 9}, {64, 48, 32}, {130, 66, 257}, {16, 200, 1000}}) {
      for (const Layout a : kLayouts) {
        for (const Layout c : kLayouts) {
          const Layout b = a == Layout::columns ? Layout::padded : c;
          const bool biased = (m + n + k) % 2 == 1;
          SCOPED_TRACE(concat(dtype_name(dtype), " m=", m, " n=", n, " k=", k, " a=", layout_name(a), " b=", layout_name(b), " c=", layout_name(c)));
          const std::vector<Array> arrays = {test::random_matrix(dtype, m, k, 1, a), test::random_matrix(dtype, k, n, 2, b),
                                             test::random_matrix(dtype, m, n, 3, c), test::random_vector(dtype, n, 4)};
          for (const double beta : {0.0, 0.5}) {
            expect_near(run_both(arrays, 2, [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
              kernels.gemm(0.75, v[0], v[1], beta, v[2], biased ? v[3] : TensorView{}, none, {});
            }), product_bound(dtype, k, static_cast<double>(k) + 2));
          }
        }
      }
    }
  }
}

TEST_P(Contract, GemmWithWorkspaceSplitsLongSums) {
  constexpr std::size_t workspace_bytes = std::size_t{32} << 20;
  for (const DType dtype : kFloating) {
    Array workspace = test::make_vector(DType::u8, workspace_bytes);
    const std::vector<Array> arrays = {test::random_matrix(dtype, 8192, 32, 1), test::random_matrix(dtype, 8192, 128, 2), test::make_matrix(dtype, 32, 128), workspace};
    const auto body = [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
      kernels.gemm(1.0, v[0].transposed(), v[1], 0.0, v[2], {}, {v[3].as<std::byte>(), workspace_bytes}, {});
    };
    const auto first = run_both(arrays, 2, body), second = run_both(arrays, 2, body);
    // Sums of 8192 products of values uniform in (-1, 1) stay below 8192 / 3 in magnitude sums, 300 in value.
    expect_near(first, (dtype == DType::f64 ? 0x1p-53 : 0x1p-24) * 2 * 8200 * 2731 + 2 * test::unit_roundoff(dtype) * 300);
    EXPECT_EQ(first.second.bytes, second.second.bytes) << "two runs differ in " << dtype_name(dtype);
  }
}

// Aligned to one element only, with an odd leading dimension: views into buckets look like that.
TEST_P(Contract, GemmOnUnalignedViews) {
  for (const DType dtype : kFloating) {
    const std::vector<Array> arrays = {test::random_matrix(dtype, 34, 33, 1), test::random_matrix(dtype, 32, 35, 2), test::random_matrix(dtype, 34, 35, 3),
                                       test::random_vector(dtype, 36, 4)};
    for (const double beta : {0.0, 1.0}) {
      expect_near(run_both(arrays, 2, [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
        const TensorView a = v[0].slice(1, 33).transposed().slice(1, 32).transposed(), c = v[2].slice(1, 33);
        kernels.gemm(1.0, a, v[1], beta, c, v[3].slice(1, 35), {}, {});
      }), product_bound(dtype, 32, 35));
    }
  }
}

// TF32 keeps 10 bits of each factor: 2^-11 relative, twice, of products that are below 1. It must be asked for, and the CPU has none.
TEST_P(Contract, Tf32OnlyWhenAsked) {
  EXPECT_FALSE(cuda_tf32());
  const std::vector<Array> arrays = {test::random_matrix(DType::f32, 256, 512, 1), test::random_matrix(DType::f32, 512, 256, 2), test::make_matrix(DType::f32, 256, 256)};
  const auto body = [](const KernelSet& kernels, const std::vector<TensorView>& v) { kernels.gemm(1.0, v[0], v[1], 0.0, v[2], {}, {}, {}); };
  set_cuda_tf32(true);
  const auto fast = run_both(arrays, 2, body);
  set_cuda_tf32(false);
  expect_near(fast, 512 * 0x1p-10);
  expect_near(run_both(arrays, 2, body), product_bound(DType::f32, 512, 512 / 3.0));
}

TEST_P(Contract, SignExpandHasTheSameBits) {
  for (const DType dtype : kFloating) {
    for (const Layout layout : kLayouts) {
      for (const auto& [vectors, elements, first_vector, first_element] :
           {std::array<std::int64_t, 4>{0, 5, 0, 0}, {1, 1, 0, 0}, {3, 129, 7, 77}, {33, 1000, 0, 0}, {2, 70001, 4000000000, 1}}) {
        expect_same_bytes(run_both({test::random_matrix(dtype, vectors, elements, 1, layout)}, 0, [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
          kernels.sign_expand(kKey, first_vector, first_element, 0.3, v[0], {});
        }));
      }
    }
  }
}

TEST_P(Contract, SignProducts) {
  for (const DType dtype : kFloating) {
    for (const auto& [rows, vectors, elements] :
         {std::array<std::int64_t, 3>{0, 3, 4}, {1, 1, 1}, {5, 0, 3}, {5, 3, 0}, {70, 33, 130}, {3, 200, 1000}, {130, 65, 257}}) {
      for (const Layout layout : kLayouts) {
        for (const double beta : {0.0, -0.5}) {
          SCOPED_TRACE(concat(dtype_name(dtype), " rows=", rows, " vectors=", vectors, " elements=", elements, " ", layout_name(layout)));
          const Array narrow = test::random_matrix(dtype, rows, vectors, 1, layout), wide = test::random_matrix(dtype, rows, elements, 2, layout);
          expect_near(run_both({narrow, wide}, 0, [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
            kernels.sign_project(kKey, 0.5, v[1], beta, v[0], {});
          }), product_bound(dtype, elements, static_cast<double>(elements) + 1));
          expect_near(run_both({narrow, wide}, 1, [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
            kernels.sign_lift(kKey, 0.5, v[0], beta, v[1], {});
          }), product_bound(dtype, vectors, static_cast<double>(vectors) + 1));
        }
      }
    }
  }
}

TEST_P(Contract, CastHasTheSameBits) {
  for (const DType from : kAll) {
    for (const DType to : kAll) {
      SCOPED_TRACE(concat(dtype_name(from), " to ", dtype_name(to)));
      for (const Layout a : kLayouts) {
        for (const Layout b : kLayouts) {
          expect_same_bytes(run_both({test::random_matrix(from, 9, 37, 1, a), test::random_matrix(to, 9, 37, 2, b)}, 1,
                                     [](const KernelSet& kernels, const std::vector<TensorView>& v) { kernels.cast(v[0], v[1], {}); }));
        }
      }
      for (const std::int64_t size : kSizes) {
        expect_same_bytes(run_both({test::random_vector(from, size, 1), test::random_vector(to, size, 2)}, 1,
                                   [](const KernelSet& kernels, const std::vector<TensorView>& v) { kernels.cast(v[0], v[1], {}); }));
      }
    }
  }
}

// Every pattern of 16 bits, nan, inf and subnormals included, out and back; and f32 patterns spread over their whole range.
TEST_P(Contract, CastOfEveryPattern) {
  Array patterns = test::make_vector(DType::bf16, 65536), singles = test::make_vector(DType::f32, 1 << 18);
  for (std::uint32_t i = 0; i < 65536; ++i) reinterpret_cast<std::uint16_t*>(patterns.bytes.data())[i] = static_cast<std::uint16_t>(i);
  for (std::uint32_t i = 0; i < 1u << 18; ++i) reinterpret_cast<std::uint32_t*>(singles.bytes.data())[i] = i * 16411u;
  for (const DType half : {DType::bf16, DType::f16}) {
    patterns.view.dtype = half;
    const auto body = [](const KernelSet& kernels, const std::vector<TensorView>& v) { kernels.cast(v[0], v[1], {}); };
    for (const DType other : {DType::f32, DType::i32}) expect_same_bytes(run_both({patterns, test::make_vector(other, 65536)}, 1, body));
    expect_same_values(run_both({patterns, test::make_vector(DType::f64, 65536)}, 1, body));
    expect_same_bytes(run_both({singles, test::make_vector(half, 1 << 18)}, 1, body));
  }
}

TEST_P(Contract, PackedSumHasTheSameBits) {
  for (const DType dtype : kAll) {
    for (const std::int64_t size : kSizes) {
      for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{64}}) {
        if (count == 64 && size > 5000) continue;
        std::vector<Array> arrays;
        for (std::size_t s = 0; s < count; ++s) arrays.push_back(test::random_vector(dtype, size, s));
        expect_same_bytes(run_both(arrays, 0, [](const KernelSet& kernels, const std::vector<TensorView>& v) { kernels.packed_sum(v, v[0], {}); }));
        if (size < 3) continue;
        // One element in: no longer aligned to 16 bytes.
        expect_same_bytes(run_both(arrays, 0, [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
          std::vector<TensorView> shifted;
          for (const TensorView& view : v) shifted.push_back(view.slice(1, size - 1));
          kernels.packed_sum(shifted, shifted[0], {});
        }));
      }
    }
  }
}

TEST_P(Contract, ScaleHasTheSameBits) {
  for (const DType dtype : kFloating) {
    for (const std::int64_t size : kSizes) {
      expect_same_bytes(run_both({test::random_vector(dtype, size, 1)}, 0,
                                 [](const KernelSet& kernels, const std::vector<TensorView>& v) { kernels.scale(0.37, v[0], {}); }));
    }
  }
}

TEST_P(Contract, SumOfSquares) {
  std::vector<Array> arrays = {test::make_vector(DType::f64, 1)};
  std::int64_t count = 0;
  for (const DType dtype : kFloating) {
    for (const std::int64_t size : kSizes) arrays.push_back(test::random_vector(dtype, size, 1)), count += size;
    for (int i = 0; i < 50; ++i) arrays.push_back(test::random_vector(dtype, 3 + i, 2)), count += 3 + i;
    arrays.push_back(test::random_matrix(dtype, 40, 90, 3, Layout::columns)), count += 3600;
    arrays.push_back(test::random_matrix(dtype, 40, 90, 3, Layout::spread)), count += 3600;
  }
  const auto body = [](const KernelSet& kernels, const std::vector<TensorView>& v) {
    kernels.sum_of_squares(std::vector<TensorView>(v.begin() + 1, v.end()), v[0], {});
  };
  const auto both = run_both(arrays, 0, body), again = run_both(arrays, 0, body);
  EXPECT_NEAR(both.first.at(0), both.second.at(0), 2 * static_cast<double>(count) * 0x1p-53 * both.first.at(0));
  EXPECT_EQ(both.second.at(0), again.second.at(0)) << "two runs differ";
  const auto empty = run_both({test::random_vector(DType::f64, 1, 1)}, 0, body);
  EXPECT_EQ(empty.second.at(0), 0.0);
}

TEST_P(Contract, SumOfSquaresShowsNonFinite) {
  for (const DType dtype : kFloating) {
    for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
      Array values = test::random_vector(dtype, 70001, 1);
      values.set(65000, bad);
      const auto both = run_both({test::make_vector(DType::f64, 1), values}, 0, [](const KernelSet& kernels, const std::vector<TensorView>& v) {
        kernels.sum_of_squares(std::vector<TensorView>{v[1]}, v[0], {});
      });
      EXPECT_FALSE(std::isfinite(both.second.at(0)));
      EXPECT_EQ(std::isnan(both.second.at(0)), std::isnan(bad));
    }
  }
}

/// Arrays in fours (parameter, gradient, first, second) for tensors of several sizes; more than fit into one launch.
std::vector<Array> optimizer_arrays() {
  std::vector<Array> arrays;
  for (int t = 0; t < 45; ++t) {
    const DType dtype = t % 5 == 4 ? DType::f64 : DType::f32;
    const std::int64_t size = kSizes[t % 6] + t % 3;
    for (std::uint64_t role = 0; role < 4; ++role) {
      arrays.push_back(test::random_vector(dtype, size, 10 * static_cast<std::uint64_t>(t) + role));
      for (std::int64_t i = 0; role == 3 && i < size; ++i) arrays.back().set(i, std::abs(arrays.back().at(i)));
    }
  }
  return arrays;
}

/// `shift` leaves out the first elements, so that nothing is aligned to 16 bytes.
std::vector<OptimizerTensor> optimizer_tensors(const std::vector<TensorView>& v, std::int64_t shift) {
  std::vector<OptimizerTensor> tensors;
  for (std::size_t t = 0; t < v.size(); t += 4) {
    const auto part = [&](std::size_t i) { return v[i].shape[0] > shift ? v[i].slice(shift, v[i].shape[0] - shift) : v[i]; };
    tensors.push_back({part(t), part(t + 1), part(t + 2), part(t + 3), 1e-3 * static_cast<double>(t + 1), t % 8 == 0 ? 0.1 : 0.0});
  }
  return tensors;
}

TEST_P(Contract, OptimizersHaveTheSameBits) {
  const std::vector<Array> arrays = optimizer_arrays();
  for (const std::int64_t shift : {0, 1}) {
    // Tensor 23 has 70001 or more elements; its parameter and moments, then one f64's.
    for (const std::size_t out : {std::size_t{4 * 23}, std::size_t{4 * 23 + 2}, std::size_t{4 * 23 + 3}, std::size_t{4 * 44}}) {
      expect_same_bytes(run_both(arrays, out, [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
        kernels.adamw(optimizer_tensors(v, shift), {0.9, 0.95, 1e-8, 3, 0.7}, {});
      }));
      for (const SgdStep& step : {SgdStep{0.0, false, 1.0}, SgdStep{0.9, false, 0.5}, SgdStep{0.9, true, 1.0}}) {
        expect_same_bytes(run_both(arrays, out, [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
          kernels.sgd(optimizer_tensors(v, shift), step, {});
        }));
      }
    }
  }
}

TEST_P(Contract, SketchedLinearForwardAndBackward) {
  constexpr std::int64_t rows = 96, inputs = 80, outputs = 72, size = 8;
  for (const DType dtype : kFloating) {
    SCOPED_TRACE(dtype_name(dtype));
    const std::vector<Array> arrays = {
        test::random_matrix(dtype, 2 * size, inputs, 1), test::random_matrix(dtype, 2 * size, outputs, 2), test::random_matrix(dtype, rows, inputs, 3),
        test::random_vector(dtype, outputs, 4), test::make_matrix(dtype, rows, 2 * size), test::make_matrix(dtype, rows, outputs),
        test::make_matrix(dtype, rows, 2 * size), test::make_matrix(dtype, rows, inputs), test::make_matrix(dtype, size, inputs), test::make_matrix(dtype, size, outputs)};
    const auto body = [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
      const SketchedLinearWeights weights{v[0], v[1], 0.5 / std::sqrt(8.0)};
      expand_sketched_linear_signs(kernels, 3, "layer", weights, {});
      sketched_linear_forward(kernels, weights, v[2], v[3], v[4], v[5], {}, {});
      const TensorView h2 = v[4].transposed().slice(size, size).transposed();
      sketched_linear_backward(kernels, weights, v[2], h2, v[5], v[6], {v[7], v[8], v[9], 0.0}, {}, {});
    };
    expect_same_bytes(run_both(arrays, 1, body));
    // h rounds once, and so does every later product: a few roundings relative to the largest value.
    for (const std::size_t out : {std::size_t{4}, std::size_t{5}, std::size_t{7}, std::size_t{8}, std::size_t{9}}) {
      const auto both = run_both(arrays, out, body);
      double largest = 0;
      for (std::int64_t i = 0; i < both.first.view.shape[0]; ++i) {
        for (std::int64_t j = 0; j < both.first.view.shape[1]; ++j) largest = std::max(largest, std::abs(both.first.at(i, j)));
      }
      const double unit = std::max(test::unit_roundoff(dtype), dtype == DType::f64 ? 0x1p-53 : 0x1p-24);
      expect_near(both, 64 * unit * largest);
    }
  }
}

/// The layer's factors on the set's device, in every storage of the signs.
struct LinearArrays {
  static constexpr std::int64_t rows = 37, inputs = 200, outputs = 150, size = 9;
  std::vector<Array> arrays;

  explicit LinearArrays(DType dtype)
      : arrays{test::random_matrix(dtype, size, inputs, 1), test::random_matrix(dtype, size, outputs, 2), test::make_matrix(DType::i32, size, sign_words(outputs)),
               test::make_matrix(DType::i32, size, sign_words(inputs)), test::random_matrix(dtype, rows, inputs, 3), test::random_vector(dtype, outputs, 4),
               test::random_matrix(dtype, rows, 2 * size, 5), test::random_matrix(dtype, rows, outputs, 6), test::random_matrix(dtype, rows, outputs, 7),
               test::make_vector(DType::u8, 1 << 20), test::random_matrix(dtype, inputs, outputs, 8)} {}
  static StackedRows p(const std::vector<TensorView>& v, bool bits) { return {{size, v[0], {}, {}}, {size, {}, bits ? v[3] : TensorView{}, kKey}}; }
  static StackedRows q(const std::vector<TensorView>& v, bool bits) { return {{size, {}, bits ? v[2] : TensorView{}, kKey}, {size, v[1], {}, {}}}; }
  static std::span<std::byte> workspace(const std::vector<TensorView>& v) { return {v[9].as<std::byte>(), std::size_t{1} << 20}; }
};

TEST_P(Contract, LinearSignBits) {
  const LinearArrays a(DType::f32);
  expect_same_bytes(run_both(a.arrays, 3, [](const KernelSet& kernels, const std::vector<TensorView>& v) { kernels.linear->sign_bits(kKey, v[3], {}); }));
}

TEST_P(Contract, LinearProductsInEveryStorage) {
  for (const DType dtype : kFloating) {
    const LinearArrays a(dtype);
    for (const bool bits : {false, true}) {
      for (const double beta : {0.0, 0.5}) {
        const auto body = [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
          kernels.linear->sign_bits(kKey, v[2], {});
          kernels.linear->sign_bits(kKey, v[3], {});
          kernels.linear->combine(0.75, v[6], LinearArrays::q(v, bits), beta, v[7], {}, {}, {});
          kernels.linear->project(0.75, v[4], LinearArrays::p(v, bits), beta, v[6], {}, {});
          kernels.linear->reduce(0.75, v[4], v[8], beta, v[10], {}, {});
        };
        expect_near(run_both(a.arrays, 6, body), product_bound(dtype, LinearArrays::inputs, LinearArrays::inputs));
        expect_near(run_both(a.arrays, 7, body), product_bound(dtype, 2 * LinearArrays::size, 2 * LinearArrays::size + 1));
        expect_near(run_both(a.arrays, 10, body), product_bound(dtype, LinearArrays::rows, LinearArrays::rows + 1));
      }
    }
  }
}

TEST_P(Contract, LinearFusedForwardWithEpilogues) {
  for (const DType dtype : kFloating) {
    const LinearArrays a(dtype);
    for (const Activation kind : {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh}) {
      const auto body = [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
        kernels.linear->fused_forward(0.1, v[4], LinearArrays::p(v, false), LinearArrays::q(v, false), v[6], v[7], {v[5], kind, v[8]}, LinearArrays::workspace(v), {});
      };
      // H holds sums of 200 products and is rounded once; y sums 18 of its values times 0.1, below 400 in all.
      const double unit = test::unit_roundoff(dtype) + (dtype == DType::f64 ? 0x1p-45 : 0x1p-16);
      for (const std::size_t out : {std::size_t{6}, std::size_t{7}, std::size_t{8}}) expect_near(run_both(a.arrays, out, body), 4 * unit * 400);
    }
  }
}

TEST_P(Contract, LinearActivationBackward) {
  for (const DType dtype : kFloating) {
    const LinearArrays a(dtype);
    for (const Activation kind : {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh}) {
      const auto body = [&](const KernelSet& kernels, const std::vector<TensorView>& v) {
        kernels.linear->activation_backward({kind, v[7], v[8], v[7], v[5], 1.0}, {});
      };
      const double unit = test::unit_roundoff(dtype) + (dtype == DType::f64 ? 0x1p-50 : 0x1p-20);
      expect_near(run_both(a.arrays, 7, body), 2 * unit);
      const auto both = run_both(a.arrays, 5, body), again = run_both(a.arrays, 5, body);
      for (std::int64_t j = 0; j < LinearArrays::outputs; ++j) ASSERT_NEAR(both.first.at(j), both.second.at(j), 2 * unit * LinearArrays::rows);
      EXPECT_EQ(both.second.bytes, again.second.bytes);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, Contract, testing::Values(DeviceKind::cpu), [](const auto&) { return std::string("threads"); });
INSTANTIATE_TEST_SUITE_P(Gpu, Contract, testing::Values(DeviceKind::cuda), [](const auto&) { return std::string("cuda"); });

}  // namespace
}  // namespace panther
