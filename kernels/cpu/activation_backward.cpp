// dz = dy * slope(aux) and its column sums in one pass over dy: strips of rows make partial sums, added in strip order.
#include <algorithm>

#include "kernels/cpu/linear.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile_store.h"
#include "kernels/cpu/value_rows.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/linear/check_linear.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kColumns = 256;  // of a task, which owns its columns for the whole batch: no sum crosses threads

template <class T, Activation kind>
PANTHER_VECTORISED void multiply_slope(const T* aux, std::int64_t columns, T* dy) {
  for (std::int64_t j = 0; j < columns; ++j) dy[j] *= slope(kind, aux[j]);
}

template <class T>
void apply_slope(Activation kind, const T* aux, std::int64_t columns, T* dy) {
  switch (kind) {
    case Activation::none: return;
    case Activation::relu: return multiply_slope<T, Activation::relu>(aux, columns, dy);
    case Activation::gelu: return multiply_slope<T, Activation::gelu>(aux, columns, dy);
    case Activation::gelu_tanh: return multiply_slope<T, Activation::gelu_tanh>(aux, columns, dy);
  }
}

template <class T>
PANTHER_VECTORISED void add_row(const T* values, std::int64_t columns, T* sums) {
  for (std::int64_t j = 0; j < columns; ++j) sums[j] += values[j];
}

/// Sums of 64 rows first, then sums of those: the error grows with B / 64.
template <class T>
void columns_task(const ActivationGradient& g, std::int64_t column, std::int64_t columns) {
  constexpr std::int64_t strip = 64;
  T dy[kColumns], aux[kColumns], partial[kColumns] = {}, sums[kColumns] = {};
  const StackedRows dy_rows = rows_of_view(g.dy_BO), aux_rows = rows_of_view(g.aux_BO);
  const std::int64_t batch = g.dy_BO.shape[0];
  for (std::int64_t b = 0; b < batch; ++b) {
    fetch_rows(dy_rows, b, 1, column, columns, dy, kColumns);
    if (g.activation != Activation::none) {
      fetch_rows(aux_rows, b, 1, column, columns, aux, kColumns);
      apply_slope(g.activation, aux, columns, dy);
    }
    add_row(dy, columns, partial);
    if ((b + 1) % strip == 0 || b + 1 == batch) {
      add_row(partial, columns, sums);
      std::fill(partial, partial + columns, T{0});
    }
    if (g.dz_BO.data != nullptr) store_tile<T>({1, 0, g.dz_BO, {}}, b, 1, column, columns, dy, kColumns);
  }
  if (g.dbias_O.data == nullptr) return;
  TensorView row = g.dbias_O;
  row.dims = 2;
  row.shape = {1, g.dbias_O.shape[0]};
  row.strides = {0, g.dbias_O.strides[0]};
  store_tile<T>({1, static_cast<T>(g.beta), row, {}}, 0, 1, column, columns, sums, kColumns);
}

}  // namespace

void activation_backward(const ActivationGradient& g, Stream) {
  check::activation_backward(g);
  const std::int64_t columns = g.dy_BO.shape[1];
  parallel_for((columns + kColumns - 1) / kColumns, g.dy_BO.numel() * 8, [&](std::int64_t index) {
    const std::int64_t column = index * kColumns, count = std::min(kColumns, columns - column);
    if (g.dy_BO.dtype == DType::f64) return columns_task<double>(g, column, count);
    columns_task<float>(g, column, count);
  });
}

}  // namespace panther::cpu
