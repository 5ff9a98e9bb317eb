// LinearKernels entries against products in f64: every dtype, storage of signs, layout, and sizes around the blocks' edges.
#include <gtest/gtest.h>
#include <omp.h>

#include "core/error.h"
#include "core/text.h"
#include "tests/kernels/sketched_layer.h"

namespace panther {
namespace {

using test::Array;
using test::Layout;
using test::SketchedLayer;

const LinearKernels& table() { return *cpu_kernels().linear; }
constexpr DType kFloating[] = {DType::f64, DType::f32, DType::bf16, DType::f16};

/// Of a sum of `depth` products below 1 in magnitude, rounded once.
double bound(DType dtype, std::int64_t depth) {
  const double arithmetic = dtype == DType::f64 ? 0x1p-53 : 0x1p-24, size = static_cast<double>(depth) + 2;
  return arithmetic * size * size + test::unit_roundoff(dtype) * size + (dtype == DType::f16 ? 0x1p-24 : 0.0);
}

void expect_near(const Array& a, const Array& expected, double tolerance, const std::string& what) {
  for (std::int64_t i = 0; i < a.view.shape[0]; ++i) {
    for (std::int64_t j = 0; j < a.view.shape[1]; ++j) ASSERT_NEAR(a.at(i, j), expected.at(i, j), tolerance) << what << " at " << i << "," << j;
  }
}

Array blend(double alpha, const Array& product, double beta, const Array& before) {
  Array out = product;
  for (std::int64_t i = 0; i < out.view.shape[0]; ++i) {
    for (std::int64_t j = 0; j < out.view.shape[1]; ++j) out.set(i, j, alpha * product.at(i, j) + beta * before.at(i, j));
  }
  return out;
}

struct Size {
  std::int64_t rows, inputs, outputs, size;
};
constexpr Size kSizes[] = {{1, 1, 1, 1}, {1, 600, 70, 3}, {3, 129, 515, 2}, {8, 64, 64, 16}, {13, 513, 65, 5}, {50, 70, 130, 33}, {97, 1030, 67, 9}};

TEST(LinearProducts, ProjectAndCombine) {
  for (const DType dtype : kFloating) {
    for (const auto& [rows, inputs, outputs, size] : kSizes) {
      const SketchedLayer layer(dtype, inputs, outputs, size, 3);
      for (const Layout layout : {Layout::rows, Layout::spread}) {
        const Array x = test::random_matrix(dtype, rows, inputs, 5, layout), h = test::random_matrix(dtype, rows, 2 * size, 6, layout);
        const Array xp = multiply(x, test::transposed(layer.pt)), hq = multiply(h, layer.q);
        const Array h_before = test::random_matrix(dtype, rows, 2 * size, 7, layout), y_before = test::random_matrix(dtype, rows, outputs, 8, layout);
        for (const SignStorage storage : test::kStorages) {
          const SketchedLinearWeights w = layer.weights(storage);
          for (const double beta : {0.0, 1.0}) {
            Array projected = h_before, combined = y_before;
            table().project(0.75, x.view, w.p(), beta, projected.view, {}, {});
            table().combine(0.75, h.view, w.q(), beta, combined.view, {}, {}, {});
            const std::string what = concat(dtype_name(dtype), " B=", rows, " D=", inputs, " O=", outputs, " R=", size, " storage ", static_cast<int>(storage));
            expect_near(projected, blend(0.75, xp, beta, h_before), bound(dtype, inputs), "project " + what);
            expect_near(combined, blend(0.75, hq, beta, y_before), bound(dtype, 2 * size), "combine " + what);
          }
        }
      }
    }
  }
}

TEST(LinearProducts, ReduceAndExpand) {
  for (const DType dtype : kFloating) {
    for (const auto& [rows, inputs, outputs, size] : kSizes) {
      const Array a = test::random_matrix(dtype, rows, size, 5), b = test::random_matrix(dtype, rows, inputs, 6), before = test::random_matrix(dtype, size, inputs, 7);
      for (const double beta : {0.0, 1.0}) {
        Array out = before;
        table().reduce(-0.5, a.view, b.view, beta, out.view, {}, {});
        expect_near(out, blend(-0.5, multiply(test::transposed(a), b), beta, before), bound(dtype, rows), concat("reduce ", dtype_name(dtype), " B=", rows));
      }
      const SketchedLayer layer(dtype, inputs, outputs, size, 3);
      for (const SignStorage storage : test::kStorages) {
        Array p = test::make_matrix(dtype, 2 * size, inputs);
        table().expand_rows(1.0, layer.weights(storage).p(), p.view, {});
        EXPECT_EQ(p.bytes, layer.pt.bytes);
      }
    }
  }
}

// Whatever the numbers of threads, the same bits; and a seed, bits and numbers are one matrix.
TEST(LinearProducts, BitsDependNeitherOnThreadsNorOnStorage) {
  const int threads = omp_get_max_threads();
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const std::int64_t rows : {1, 5, 60, 200}) {
      const SketchedLayer layer(dtype, 700, 650, 24, 3);
      const Array x = test::random_matrix(dtype, rows, 700, 5);
      std::vector<Array> results;
      for (const int count : {1, 2, 3}) {
        omp_set_num_threads(count);
        for (const SignStorage storage : test::kStorages) {
          const SketchedLinearWeights w = layer.weights(storage);
          Array h = test::make_matrix(dtype, rows, 48), y = test::make_matrix(dtype, rows, 650);
          table().fused_forward(w.alpha, x.view, w.p(), w.q(), h.view, y.view, {}, {}, {});
          results.push_back(y);
        }
      }
      omp_set_num_threads(threads);
      for (const Array& result : results) EXPECT_EQ(result.bytes, results.front().bytes) << dtype_name(dtype) << " " << rows;
    }
  }
}

TEST(LinearProducts, EpiloguesMatchTheirFormulas) {
  for (const DType dtype : kFloating) {
    for (const std::int64_t rows : {1, 20}) {
      const SketchedLayer layer(dtype, 33, 70, 4, 3);
      const Array h = test::random_matrix(dtype, rows, 8, 5), bias = test::random_vector(dtype, 70, 6), product = multiply(h, layer.q);
      for (const Activation kind : {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh}) {
        Array y = test::make_matrix(dtype, rows, 70), aux = test::make_matrix(dtype, rows, 70);
        table().combine(0.5, h.view, layer.weights(SignStorage::expanded).q(), 0.0, y.view, {bias.view, kind, aux.view}, {}, {});
        Array z = product, activated = product;
        for (std::int64_t i = 0; i < rows; ++i) {
          for (std::int64_t j = 0; j < 70; ++j) {
            z.set(i, j, 0.5 * product.at(i, j) + bias.at(j));
            activated.set(i, j, activate(kind, z.at(i, j)));
          }
        }
        // Slopes stay below 1.13; the activation itself is good to 6e-7 of max(1, |x|) in f32.
        expect_near(aux, z, bound(dtype, 8), "aux");
        expect_near(y, activated, 1.13 * bound(dtype, 8) + (dtype == DType::f64 ? 1e-15 : 6e-6), "y");
      }
    }
  }
}

TEST(LinearProducts, EmptySumsAndEmptyBatches) {
  Array x = test::make_matrix(DType::f32, 0, 5), h = test::make_matrix(DType::f32, 0, 4), y = test::random_matrix(DType::f32, 3, 6, 1);
  const SketchedLayer layer(DType::f32, 5, 6, 2, 3);
  table().project(1.0, x.view, layer.weights(SignStorage::seed).p(), 0.0, h.view, {}, {});
  const Array none = test::make_matrix(DType::f32, 3, 0);
  table().combine(1.0, none.view, {}, 0.0, y.view, {}, {}, {});
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 6; ++j) EXPECT_EQ(y.at(i, j), 0.0);
  }
}

TEST(LinearProducts, SayWhichArgumentIsWrong) {
  const SketchedLayer layer(DType::f32, 5, 6, 2, 3);
  const Array x = test::make_matrix(DType::f32, 3, 7);
  Array h = test::make_matrix(DType::f32, 3, 4);
  EXPECT_THROW(table().project(1.0, x.view, layer.weights(SignStorage::expanded).p(), 0.0, h.view, {}, {}), Error);
  Array bits = test::make_matrix(DType::i32, 2, 3);
  EXPECT_THROW(table().sign_bits({}, bits.view, {}), Error);
}

}  // namespace
}  // namespace panther
