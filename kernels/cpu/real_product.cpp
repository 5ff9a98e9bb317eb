#include "kernels/cpu/real_product.h"

#include <algorithm>

#include "kernels/cpu/packed_gemm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/real_entries.h"
#include "kernels/cpu/tile_gemm.h"
#include "kernels/element/convert.h"

namespace panther::cpu {
namespace {

/// One panel: outputs by depth. Whole micro-kernel columns and whole K blocks of the packed product.
constexpr std::int64_t kPanelOutputs = 256, kPanelDepth = 1024;
static_assert(kPanelOutputs % kTileN == 0 && kPanelDepth % kTileK == 0);

struct Window {
  const DenseSketch& sketch;
  std::int64_t output, outputs, k, depth;
};

/// sliver[p][width] for `width` vectors from `vector` on (absolute), elements [element, element + depth).
template <class T>
void fill_across(const DenseSketch& sketch, std::int64_t vector, std::int64_t element, std::int64_t depth, T* sliver) {
  constexpr std::int64_t width = kPanelColumns<T>;
  alignas(64) float entries[4][16];
  for (std::int64_t block = element / 4; block * 4 < element + depth; ++block) {
    real_entries_across(sketch, vector, block, entries);
    for (int w = 0; w < 4; ++w) {
      const std::int64_t p = block * 4 + w - element;
      if (p < 0 || p >= depth) continue;
      for (std::int64_t lane = 0; lane < width; ++lane) sliver[p * width + lane] = static_cast<T>(entries[w][lane]);
    }
  }
}

/// sliver[p][width] for `depth` vectors from `vector` on, `width` elements from `element` on.
template <class T>
void fill_along(const DenseSketch& sketch, std::int64_t vector, std::int64_t element, std::int64_t depth, std::int64_t sliver_stride,
                std::int64_t elements, T* slivers) {
  constexpr std::int64_t width = kPanelColumns<T>;
  float entries[kPanelOutputs];
  for (std::int64_t p = 0; p < depth; ++p) {
    real_entries_along(sketch, vector + p, element, elements, entries);
    for (std::int64_t e = 0; e < elements; ++e) slivers[e / width * sliver_stride + p * width + e % width] = static_cast<T>(entries[e]);
  }
}

/// The panel as packed_gemm takes it, drawn by all threads.
template <class T>
void fill_panel(const Window& w, bool lift, T* panel) {
  constexpr std::int64_t width = kPanelColumns<T>, at_once = 64;  // outputs or vectors of one task
  const std::int64_t vector = w.sketch.first_vector, element = w.sketch.first_element;
  const std::int64_t blocks = (w.depth + kTileK - 1) / kTileK, parts = (w.outputs + at_once - 1) / at_once;
  const std::int64_t columns = (w.outputs + width - 1) / width * width;
  parallel_for(blocks * parts, w.depth * w.outputs * 4, [&](std::int64_t index) {
    const std::int64_t k = index / parts * kTileK, depth = std::min(kTileK, w.depth - k), first = index % parts * at_once;
    const std::int64_t count = std::min(at_once, w.outputs - first);
    T* slivers = panel + k * columns + first * depth;
    if (lift) return fill_along(w.sketch, vector + w.k + k, element + w.output + first, depth, depth * width, (count + width - 1) / width * width, slivers);
    for (std::int64_t o = 0; o < count; o += width) fill_across(w.sketch, vector + w.output + first + o, element + w.k + k, depth, slivers + o * depth);
  });
}

/// The panel as a plain matrix, depth by outputs.
TensorView plain_panel(const Window& w, bool lift, void* memory) {
  const TensorView panel(memory, DType::f32, {lift ? w.depth : w.outputs, lift ? w.outputs : w.depth});
  return lift ? panel : panel.transposed();
}

/// By all threads.
void fill_plain_panel(const Window& w, bool lift, const TensorView& panel_KO) {
  const std::int64_t vectors = lift ? w.depth : w.outputs, elements = lift ? w.outputs : w.depth;
  const std::int64_t vector = w.sketch.first_vector + (lift ? w.k : w.output), element = w.sketch.first_element + (lift ? w.output : w.k);
  parallel_for(vectors, vectors * elements * 4,
               [&](std::int64_t v) { real_entries_along(w.sketch, vector + v, element, elements, panel_KO.as<float>() + v * elements); });
}

/// target = alpha x S + beta target for the window's part of S, by tiles; false, with nothing written, where they are not the faster way. Of
/// every size, so that a part of x has the bits of the whole.
bool multiply_tiles(const Window& w, bool lift, double alpha, const TensorView& x, double beta, const TensorView& target, void* memory) {
  const TensorView panel = plain_panel(w, lift, memory);
  if (!tiles_are_faster(x, panel, target, {}, TileSizes::all)) return false;
  fill_plain_panel(w, lift, panel);
  return tile_gemm_any_layout(alpha, x, panel, beta, target, {}, TileSizes::all);
}

/// out = alpha sums + beta out, rounded once to a narrower dtype.
template <class D>
void finish_as(float alpha, const TensorView& sums, float beta, const TensorView& out) {
  parallel_for(out.shape[0], out.numel(), [&](std::int64_t i) {
    const float* sum = sums.as<const float>() + i * sums.strides[0];
    D* row = out.as<D>() + i * out.strides[0];
    for (std::int64_t j = 0; j < out.shape[1]; ++j) {
      D& entry = row[j * out.strides[1]];
      entry = convert<D>(beta != 0 ? alpha * sum[j] + beta * convert<float>(entry) : alpha * sum[j]);
    }
  });
}

void finish(double alpha, const TensorView& sums, double beta, const TensorView& out) {
  const auto a = static_cast<float>(alpha), b = static_cast<float>(beta);
  out.dtype == DType::bf16 ? finish_as<Bf16>(a, sums, b, out) : finish_as<F16>(a, sums, b, out);
}

TensorView columns_of_view(const TensorView& view, std::int64_t first, std::int64_t count) { return view.transposed().slice(first, count).transposed(); }

template <class T>
void multiply(const DenseSketch& sketch, bool lift, double alpha, const TensorView& x, double beta, const TensorView& out, Allocator& allocator) {
  const std::int64_t rows = out.shape[0], outputs = out.shape[1], depth = x.shape[1];
  if (rows == 0 || outputs == 0) return;
  if (depth == 0) {
    packed_gemm<T>({rows, outputs, 0, T{1}, static_cast<T>(beta), rows_of<T>(x), columns_of<T>(x.transposed()), nullptr, 0, out});
    return;
  }
  const DType type = sizeof(T) == 8 ? DType::f64 : DType::f32;
  const std::int64_t most = std::min(outputs, kPanelOutputs), padded = (most + 15) / 16 * 16;
  const Workspace panel(allocator, static_cast<std::size_t>(padded * std::min(depth, kPanelDepth)) * sizeof(T), out.device, {});
  // Partial sums of a longer depth stay in T: in out itself, or beside it when out is narrower.
  const bool aside = out.dtype != type && depth > kPanelDepth;
  const Workspace sums(allocator, aside ? static_cast<std::size_t>(rows * most) * sizeof(T) : 0, out.device, {});
  for (std::int64_t output = 0; output < outputs; output += kPanelOutputs) {
    const std::int64_t count = std::min(kPanelOutputs, outputs - output);
    const TensorView target = columns_of_view(out, output, count), held(sums.data(), type, {rows, count});
    for (std::int64_t k = 0; k < depth; k += kPanelDepth) {
      const std::int64_t part = std::min(kPanelDepth, depth - k);
      const Window window{sketch, output, count, k, part};
      const double keep = k > 0 ? 1.0 : aside ? 0.0 : beta;
      if (sizeof(T) == sizeof(float) && !aside && multiply_tiles(window, lift, alpha, columns_of_view(x, k, part), keep, target, panel.data())) continue;
      fill_panel(window, lift, static_cast<T*>(panel.data()));
      const std::int64_t columns = (count + kPanelColumns<T> - 1) / kPanelColumns<T> * kPanelColumns<T>;
      packed_gemm<T>({rows, count, part, static_cast<T>(aside ? 1.0 : alpha), static_cast<T>(keep), rows_of<T>(columns_of_view(x, k, part)), {},
                      static_cast<const T*>(panel.data()), columns, aside ? held : target});
    }
    if (aside) finish(alpha, held, beta, target);
  }
}

}  // namespace

void real_product(const DenseSketch& sketch, bool lift, double alpha, const TensorView& x_BD, double beta, const TensorView& out_BO,
                  Allocator& allocator) {
  if (out_BO.dtype == DType::f64) return multiply<double>(sketch, lift, alpha, x_BD, beta, out_BO, allocator);
  multiply<float>(sketch, lift, alpha, x_BD, beta, out_BO, allocator);
}

}  // namespace panther::cpu
