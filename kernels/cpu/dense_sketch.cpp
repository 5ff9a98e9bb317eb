#include "kernels/cpu/dense_sketch.h"

#include <algorithm>

#include "kernels/check_arguments.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/packed_gemm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/real_entries.h"
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

/// Columns of the product are vectors, its depth runs over elements.
template <class T>
void pack_vectors(const PanelSource<T>& self, std::int64_t vector, std::int64_t vectors, std::int64_t element, std::int64_t depth, T* panel) {
  constexpr int width = kPanelColumns<T>;
  const DenseSketch& sketch = *static_cast<const DenseSketch*>(self.data);
  float entries[kTileK];
  for (std::int64_t v = 0; v < vectors; ++v) {
    real_entries_along(sketch, sketch.first_vector + vector + v, sketch.first_element + element, depth, entries);
    T* sliver = panel + v / width * width * depth + v % width;
    for (std::int64_t p = 0; p < depth; ++p) sliver[p * width] = static_cast<T>(entries[p]);
  }
}

/// Columns of the product are elements, its depth runs over vectors.
template <class T>
void pack_elements(const PanelSource<T>& self, std::int64_t element, std::int64_t elements, std::int64_t vector, std::int64_t depth, T* panel) {
  constexpr int width = kPanelColumns<T>;
  const DenseSketch& sketch = *static_cast<const DenseSketch*>(self.data);
  float entries[kTileN];
  for (std::int64_t p = 0; p < depth; ++p) {
    real_entries_along(sketch, sketch.first_vector + vector + p, sketch.first_element + element, elements, entries);
    for (std::int64_t e = 0; e < elements; ++e) panel[e / width * width * depth + p * width + e % width] = static_cast<T>(entries[e]);
  }
}

template <class T>
void multiply(const DenseSketch& sketch, decltype(PanelSource<T>::pack) pack, double alpha, const TensorView& x, double beta, const TensorView& out) {
  PanelSource<T> entries;
  entries.pack = pack;
  entries.data = &sketch;
  packed_gemm<T>({out.shape[0], out.shape[1], x.shape[1], static_cast<T>(alpha), static_cast<T>(beta), rows_of<T>(x), entries, out, TensorView{}});
}

void project(const DenseSketch& sketch, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Allocator&, Stream) {
  check::dense_product("dense sketch project", sketch, x_BE, out_BV, out_BV.shape[1], x_BE.shape[1]);
  if (sketch.distribution == DenseDistribution::signs) return sign_table_product(sketch, false, alpha, x_BE, beta, out_BV);
  if (out_BV.dtype == DType::f64) return multiply<double>(sketch, pack_vectors<double>, alpha, x_BE, beta, out_BV);
  multiply<float>(sketch, pack_vectors<float>, alpha, x_BE, beta, out_BV);
}

void lift(const DenseSketch& sketch, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Allocator&, Stream) {
  check::dense_product("dense sketch lift", sketch, x_BV, out_BE, x_BV.shape[1], out_BE.shape[1]);
  if (sketch.distribution == DenseDistribution::signs) return sign_table_product(sketch, true, alpha, x_BV, beta, out_BE);
  if (out_BE.dtype == DType::f64) return multiply<double>(sketch, pack_elements<double>, alpha, x_BV, beta, out_BE);
  multiply<float>(sketch, pack_elements<float>, alpha, x_BV, beta, out_BE);
}

}  // namespace

const DenseSketchKernels kDenseSketch{expand, project, lift};

void sign_project(SignKey key, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Stream) {
  check::sign_product("sign_project", x_BE, out_BV, out_BV.shape[1], x_BE.shape[1]);
  sign_table_product({.key = key}, false, alpha, x_BE, beta, out_BV);
}

void sign_lift(SignKey key, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Stream) {
  check::sign_product("sign_lift", x_BV, out_BE, x_BV.shape[1], out_BE.shape[1]);
  sign_table_product({.key = key}, true, alpha, x_BV, beta, out_BE);
}

}  // namespace panther::cpu
