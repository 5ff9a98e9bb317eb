#include "kernels/cpu/dense_sketch.h"

#include <algorithm>

#include "kernels/check_arguments.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/packed_gemm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/real_entries.h"
#include "kernels/cpu/real_product.h"
#include "kernels/cpu/sign_table.h"
#include "kernels/element/convert.h"

namespace panther::cpu {
namespace {

template <class T>
void expand_rows(const DenseSketch& sketch, double scale, const TensorView& out_VE) {
  constexpr std::int64_t chunk = 1024;
  const std::int64_t elements = out_VE.shape[1], chunks = (elements + chunk - 1) / chunk;
  parallel_for(out_VE.shape[0] * chunks, out_VE.numel(), [&](std::int64_t index) {
    const std::int64_t vector = index / chunks, element = index % chunks * chunk, count = std::min(chunk, elements - element);
    float entries[chunk];
    real_entries_along(sketch, sketch.first_vector + vector, sketch.first_element + element, count, entries);
    T* row = out_VE.as<T>() + vector * out_VE.strides[0] + element * out_VE.strides[1];
    for (std::int64_t e = 0; e < count; ++e) row[e * out_VE.strides[1]] = convert<T>(scale * static_cast<double>(entries[e]));
  });
}

void expand(const DenseSketch& sketch, double scale, const TensorView& out_VE, Stream stream) {
  check::sign_expand(sketch.first_vector, sketch.first_element, out_VE);
  if (sketch.distribution == DenseDistribution::signs) {
    return sign_expand(sketch.key, sketch.first_vector, sketch.first_element, scale, out_VE, stream);
  }
  switch (out_VE.dtype) {
    case DType::f64: return expand_rows<double>(sketch, scale, out_VE);
    case DType::f32: return expand_rows<float>(sketch, scale, out_VE);
    case DType::bf16: return expand_rows<Bf16>(sketch, scale, out_VE);
    case DType::f16: return expand_rows<F16>(sketch, scale, out_VE);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

void project(const DenseSketch& sketch, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Allocator& allocator, Stream) {
  check::dense_product("dense sketch project", sketch, x_BE, out_BV, out_BV.shape[1], x_BE.shape[1]);
  if (sketch.distribution == DenseDistribution::signs) return sign_table_product(sketch, false, alpha, x_BE, beta, out_BV);
  real_product(sketch, false, alpha, x_BE, beta, out_BV, allocator);
}

void lift(const DenseSketch& sketch, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Allocator& allocator, Stream) {
  check::dense_product("dense sketch lift", sketch, x_BV, out_BE, x_BV.shape[1], out_BE.shape[1]);
  if (sketch.distribution == DenseDistribution::signs) return sign_table_product(sketch, true, alpha, x_BV, beta, out_BE);
  real_product(sketch, true, alpha, x_BV, beta, out_BE, allocator);
}

template <class T>
void multiply_as(double alpha, const TensorView& a, const TensorView& b, double beta, const TensorView& c) {
  packed_gemm<T>({c.shape[0], c.shape[1], a.shape[1], static_cast<T>(alpha), static_cast<T>(beta), rows_of<T>(a), columns_of<T>(b), nullptr, 0, c});
}

void multiply(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, Stream) {
  check::gemm(a_MK, b_KN, c_MN, {});
  c_MN.dtype == DType::f64 ? multiply_as<double>(alpha, a_MK, b_KN, beta, c_MN) : multiply_as<float>(alpha, a_MK, b_KN, beta, c_MN);
}

}  // namespace

const DenseSketchKernels kDenseSketch{expand, project, lift, multiply};

void sign_project(SignKey key, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Stream) {
  check::sign_product("sign_project", x_BE, out_BV, out_BV.shape[1], x_BE.shape[1]);
  sign_table_product({.key = key}, false, alpha, x_BE, beta, out_BV);
}

void sign_lift(SignKey key, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Stream) {
  check::sign_product("sign_lift", x_BV, out_BE, x_BV.shape[1], out_BE.shape[1]);
  sign_table_product({.key = key}, true, alpha, x_BV, beta, out_BE);
}

}  // namespace panther::cpu
