// Four signed numbers have 16 sums. For each group of 4 depth elements those are tabulated, the rows of x in vector lanes (one
// cache line of rows an entry), and every output adds the entry that its 4 sign bits choose: two vector additions for 4 x 16 (f32) products,
// where multiplying takes 8. After "the four Russians" (Arlazarov, Dinic, Kronrod, Faradzev, 1970), as boolean and 1-bit products use it.
#include "kernels/cpu/sign_table.h"

#include <algorithm>

#include "kernels/cpu/packed_gemm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sign_index.h"
#include "kernels/cpu/sign_table_steps.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/convert.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kTabulated = kTables * kTableGroup;  // depth elements the tables cover
constexpr std::int64_t kRowTiles = 16;                      // of one task, all with the same sign indices
static_assert(kIndexOutputs % kSumsAtOnce == 0 && kIndexDepth % kTabulated == 0);

template <class T> struct Half;
template <> struct Half<float> {
  typedef float type __attribute__((vector_size(32), may_alias));
};
template <> struct Half<double> {
  typedef double type __attribute__((vector_size(32), may_alias));
};

template <class T>
PANTHER_VECTORISED void build_tables(const T* x, T* tables) {
  using V = typename Half<T>::type;
  constexpr std::int64_t rows = kTableRows<T>, half = rows / 2;
  for (std::int64_t g = 0; g < kTables; ++g, x += kTableGroup * rows, tables += kTableEntries * rows) {
    for (std::int64_t h = 0; h < rows; h += half) {
      const V* row[kTableGroup];
      for (int i = 0; i < kTableGroup; ++i) row[i] = reinterpret_cast<const V*>(x + i * rows + h);
      const V a = *row[0], b = *row[1], c = *row[2], d = *row[3];
      const V first[4] = {a + b, b - a, a - b, -a - b}, second[4] = {c + d, d - c, c - d, -c - d};
      for (int entry = 0; entry < kTableEntries; ++entry) *reinterpret_cast<V*>(tables + entry * rows + h) = first[entry % 4] + second[entry / 4];
    }
  }
}

template <class T, bool lift>
PANTHER_VECTORISED void add_entries(const T* tables, const std::uint8_t* index, std::int64_t stride, std::int64_t outputs, T* sums) {
  using V = typename Half<T>::type;
  constexpr std::int64_t rows = kTableRows<T>, half = rows / 2;
  for (std::int64_t o = 0; o < outputs; o += kSumsAtOnce, sums += kSumsAtOnce * rows) {
    V low[kSumsAtOnce], high[kSumsAtOnce];
#pragma GCC unroll 6
    for (std::int64_t i = 0; i < kSumsAtOnce; ++i) {
      low[i] = *reinterpret_cast<const V*>(sums + i * rows);
      high[i] = *reinterpret_cast<const V*>(sums + i * rows + half);
    }
    const std::uint8_t* chosen = index + (lift ? o : o * stride);
    const T* table = tables;
#pragma GCC unroll 2
    for (std::int64_t g = 0; g < kTables; ++g, table += kTableEntries * rows, chosen += lift ? stride : 1) {
#pragma GCC unroll 6
      for (std::int64_t i = 0; i < kSumsAtOnce; ++i) {
        const auto* entry = reinterpret_cast<const std::byte*>(table) + std::size_t{8} * chosen[lift ? i : i * stride];
        low[i] += *reinterpret_cast<const V*>(entry);
        high[i] += *reinterpret_cast<const V*>(entry + 32);
      }
    }
#pragma GCC unroll 6
    for (std::int64_t i = 0; i < kSumsAtOnce; ++i) {
      *reinterpret_cast<V*>(sums + i * rows) = low[i];
      *reinterpret_cast<V*>(sums + i * rows + half) = high[i];
    }
  }
}

template <class T>
const SignTableSteps<T>& steps() {
  static constexpr SignTableSteps<T> narrow{build_tables<T>, add_entries<T, false>, add_entries<T, true>};
  static const SignTableSteps<T>* const wide = sign_table_avx512(T{});
  return wide != nullptr ? *wide : narrow;
}

template <class T, class D>
PANTHER_VECTORISED void store_sums(T alpha, T beta, const T* sums, std::int64_t rows, std::int64_t outputs, D* out, std::int64_t row_stride,
                                   std::int64_t output_stride) {
  for (std::int64_t o = 0; o < outputs; ++o) {
    const T* sum = sums + o * kTableRows<T>;
    D* target = out + o * output_stride;
    if (beta != T{0}) {
      for (std::int64_t i = 0; i < rows; ++i) target[i * row_stride] = convert<D>(alpha * sum[i] + beta * convert<T>(target[i * row_stride]));
    } else if (row_stride == 1) {
      for (std::int64_t i = 0; i < rows; ++i) target[i] = convert<D>(alpha * sum[i]);
    } else {
      for (std::int64_t i = 0; i < rows; ++i) target[i * row_stride] = convert<D>(alpha * sum[i]);
    }
  }
}

template <class T>
struct Product {
  const DenseSketch& sketch;
  bool lift;
  T alpha, beta;
  PanelSource<T> x;  ///< packs [depth][kTableRows]
  std::int64_t depth;
  const TensorView& out;
};

/// Rows [row, row + rows) and outputs [output, output + outputs) of the product.
struct Part {
  std::int64_t row, rows, output, outputs;
};

template <class T>
void store(const Product<T>& p, const Part& part, const T* sums) {
  const TensorView& out = p.out;
  const std::int64_t row_stride = out.strides[0], output_stride = out.strides[1], at = part.row * row_stride + part.output * output_stride;
  const auto as = [&]<class D>(D* data) { store_sums<T, D>(p.alpha, p.beta, sums, part.rows, part.outputs, data + at, row_stride, output_stride); };
  switch (out.dtype) {
    case DType::f64: return as(out.as<double>());
    case DType::f32: return as(out.as<float>());
    case DType::bf16: return as(out.as<Bf16>());
    case DType::f16: return as(out.as<F16>());
    case DType::i64: case DType::i32: case DType::u8: return;
  }
}

template <class T>
void add_tile(const Product<T>& p, const Part& tile, std::int64_t k, std::int64_t depth, const SignIndex& index, T* sums) {
  alignas(64) T x[kTabulated * kTableRows<T>], tables[kTables * kTableEntries * kTableRows<T>];
  for (std::int64_t first = 0; first < depth; first += kTabulated) {
    const std::int64_t count = std::min(kTabulated, depth - first);
    p.x.pack(p.x, tile.row, tile.rows, k + first, count, x);
    std::fill(x + count * kTableRows<T>, x + kTabulated * kTableRows<T>, T{0});
    steps<T>().build(x, tables);
    const std::int64_t padded = (tile.outputs + kSumsAtOnce - 1) / kSumsAtOnce * kSumsAtOnce;
    if (p.lift) steps<T>().add_lifted(tables, index.bytes + first / kTableGroup * index.stride, index.stride, padded, sums);
    else steps<T>().add(tables, index.bytes + first / kTableGroup, index.stride, padded, sums);
  }
}

template <class T>
void compute_part(const Product<T>& p, const Part& part) {
  alignas(64) T sums[kRowTiles * kIndexOutputs * kTableRows<T>];
  alignas(64) std::uint8_t memory[kIndexBytes];
  constexpr std::int64_t tile_sums = kIndexOutputs * kTableRows<T>;
  const std::int64_t tiles = (part.rows + kTableRows<T> - 1) / kTableRows<T>;
  std::fill(sums, sums + tiles * tile_sums, T{0});
  const auto tile_of = [&](std::int64_t t) {
    return Part{part.row + t * kTableRows<T>, std::min(kTableRows<T>, part.rows - t * kTableRows<T>), part.output, part.outputs};
  };
  for (std::int64_t k = 0; k < p.depth; k += kIndexDepth) {
    const std::int64_t depth = std::min(kIndexDepth, p.depth - k);
    const SignIndex index = sign_index(p.sketch, p.lift, {part.output, part.outputs, k, depth}, memory);
    for (std::int64_t t = 0; t < tiles; ++t) add_tile(p, tile_of(t), k, depth, index, sums + t * tile_sums);
  }
  for (std::int64_t t = 0; t < tiles; ++t) store(p, tile_of(t), sums + t * tile_sums);
}

template <class T>
void multiply(const DenseSketch& sketch, bool lift, double alpha, const TensorView& x, double beta, const TensorView& out) {
  const std::int64_t rows = out.shape[0], outputs = out.shape[1];
  if (rows == 0 || outputs == 0) return;
  const Product<T> product{sketch, lift, static_cast<T>(alpha), static_cast<T>(beta), columns_of<T>(x.transposed()), x.shape[1], out};
  // Few tasks would leave threads idle; smaller ones change no result.
  std::int64_t height = kRowTiles * kTableRows<T>, width = kIndexOutputs;
  const auto parts = [](std::int64_t size, std::int64_t part) { return (size + part - 1) / part; };
  while (height > 4 * kTableRows<T> && parts(rows, height) * parts(outputs, width) < 16) height /= 2;
  while (width > 32 && parts(rows, height) * parts(outputs, width) < 8) width = width / 2 / kSumsAtOnce * kSumsAtOnce;
  const std::int64_t across = parts(outputs, width);
  parallel_for(parts(rows, height) * across, rows * outputs * (x.shape[1] + 8) / 8, [&](std::int64_t index) {
    const std::int64_t row = index / across * height, output = index % across * width;
    compute_part(product, Part{row, std::min(height, rows - row), output, std::min(width, outputs - output)});
  });
}

}  // namespace

void sign_table_product(const DenseSketch& sketch, bool lift, double alpha, const TensorView& x_BD, double beta, const TensorView& out_BO) {
  if (out_BO.dtype == DType::f64) return multiply<double>(sketch, lift, alpha, x_BD, beta, out_BO);
  multiply<float>(sketch, lift, alpha, x_BD, beta, out_BO);
}

}  // namespace panther::cpu
