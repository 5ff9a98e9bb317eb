#include "kernels/cpu/tile_store.h"

#include "kernels/cpu/vectorised.h"
#include "kernels/element/convert.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kMaxColumns = 512;

template <class D>
D* element(const TensorView& view, std::int64_t i, std::int64_t j) {
  return view.as<D>() + i * view.strides[0] + j * view.strides[1];
}

template <class T, class D>
PANTHER_VECTORISED void write_row(const T* values, std::int64_t columns, D* out, std::int64_t step) {
  if (step == 1) {
    for (std::int64_t j = 0; j < columns; ++j) out[j] = convert<D>(values[j]);
  } else {
    for (std::int64_t j = 0; j < columns; ++j) out[j * step] = convert<D>(values[j]);
  }
}

template <class T, Activation kind>
PANTHER_VECTORISED void activate_row(T* values, std::int64_t columns) {
  for (std::int64_t j = 0; j < columns; ++j) values[j] = activate(kind, values[j]);
}

template <class T>
void apply(Activation kind, T* values, std::int64_t columns) {
  switch (kind) {
    case Activation::none: return;
    case Activation::relu: return activate_row<T, Activation::relu>(values, columns);
    case Activation::gelu: return activate_row<T, Activation::gelu>(values, columns);
    case Activation::gelu_tanh: return activate_row<T, Activation::gelu_tanh>(values, columns);
  }
}

/// sums = alpha * sums + beta * out + bias.
template <class T, class D>
PANTHER_VECTORISED void blend_row(T alpha, T beta, const T* bias, const D* out, std::int64_t step, std::int64_t columns, T* sums) {
  if (beta == T{0}) {
    for (std::int64_t j = 0; j < columns; ++j) sums[j] = alpha * sums[j] + bias[j];
  } else {
    for (std::int64_t j = 0; j < columns; ++j) sums[j] = alpha * sums[j] + beta * convert<T>(out[j * step]) + bias[j];
  }
}

/// The common case in one pass: nothing but alpha and bias, contiguous.
template <class T, class D>
PANTHER_VECTORISED void write_plain(T alpha, const T* bias, const T* sums, std::int64_t stride, std::int64_t rows, std::int64_t columns, D* out,
                                    std::int64_t out_stride) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) out[i * out_stride + j] = convert<D>(alpha * sums[i * stride + j] + bias[j]);
  }
}

template <class T, class D>
void store_as(const TileTarget<T>& target, std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns, T* sums, std::int64_t stride) {
  const LinearEpilogue& e = target.epilogue;
  T bias[kMaxColumns];
  for (std::int64_t j = 0; j < columns; ++j) bias[j] = e.bias_O.data == nullptr ? T{0} : convert<T>(e.bias_O.as<const D>()[(column + j) * e.bias_O.strides[0]]);
  const std::int64_t step = target.out.strides[1];
  D* const out = element<D>(target.out, row, column);
  if (target.beta == T{0} && step == 1 && e.activation == Activation::none && e.aux_BO.data == nullptr) {
    return write_plain(target.alpha, bias, sums, stride, rows, columns, out, target.out.strides[0]);
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    T* const values = sums + i * stride;
    D* const out_row = out + i * target.out.strides[0];
    blend_row(target.alpha, target.beta, bias, out_row, step, columns, values);
    if (e.aux_BO.data != nullptr) write_row(values, columns, element<D>(e.aux_BO, row + i, column), e.aux_BO.strides[1]);
    apply(e.activation, values, columns);
    write_row(values, columns, out_row, step);
  }
}

}  // namespace

template <class T>
void store_tile(const TileTarget<T>& target, std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns, T* sums,
                std::int64_t stride) {
  switch (target.out.dtype) {
    case DType::f64: return store_as<T, double>(target, row, rows, column, columns, sums, stride);
    case DType::f32: return store_as<T, float>(target, row, rows, column, columns, sums, stride);
    case DType::bf16: return store_as<T, Bf16>(target, row, rows, column, columns, sums, stride);
    case DType::f16: return store_as<T, F16>(target, row, rows, column, columns, sums, stride);
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

template void store_tile<float>(const TileTarget<float>&, std::int64_t, std::int64_t, std::int64_t, std::int64_t, float*, std::int64_t);
template void store_tile<double>(const TileTarget<double>&, std::int64_t, std::int64_t, std::int64_t, std::int64_t, double*, std::int64_t);

}  // namespace panther::cpu
