// Sparse sketches without atomics. A scatter sorts the entries of a chunk of major vectors by part of the chunk and place (radix sort is stable, so every
// place adds in ascending order) and gives each place of each part to one warp, which reads its rows of a in whole sectors; a gather makes its entries in
// shared memory.
#include "kernels/cuda/sparse_sketch.h"

#include <cub/device/device_radix_sort.cuh>

#include "core/error.h"
#include "kernels/cuda/matrix_tiles.cuh"
#include "kernels/cuda/sparse_plan.h"
#include "kernels/cuda/upload.h"
#include "kernels/sketch/check_products.h"

namespace panther::cuda {
namespace {

/// The entries of major vector `first + j` for j < majors, `nonzeros` <= room places each: key[e] the place, numbered through all parts, or what lies behind all
/// places when there is none in the window; value[e] beside it, index[e] = e.
template <int room, class A>
__global__ void draw_kernel(SparseWindow window, std::int64_t first, ScatterPlan plan, std::int64_t majors, std::int64_t minors, std::uint32_t* key, std::uint32_t* index, A* value) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (j >= majors) return;
  std::int64_t place[room], from[room], to[room];
  double drawn[room];
  const int nonzeros = window.pattern.nonzeros;
  const int count = pattern_entries(window.pattern, window.first_major + first + j, place, drawn, from, to);
  const std::int64_t part = j / plan.majors_per_part;
  for (int t = 0; t < nonzeros; ++t) {
    const std::int64_t e = j * nonzeros + t, minor = t < count ? place[t] - window.first_minor : -1;
    const bool inside = minor >= 0 && minor < minors;
    key[e] = static_cast<std::uint32_t>(inside ? part * minors + minor : plan.parts * minors);
    index[e] = static_cast<std::uint32_t>(e);
    value[e] = inside ? static_cast<A>(drawn[t]) : A{0};
  }
}

/// row[e], factor[e]: of the entry that the sort put at e.
template <class A>
__global__ void order_kernel(const std::uint32_t* index, const A* value, std::int64_t entries, int nonzeros, std::uint32_t* row, A* factor) {
  const std::int64_t e = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (e >= entries) return;
  const std::uint32_t entry = index[e];
  row[e] = entry / static_cast<std::uint32_t>(nonzeros);
  factor[e] = value[entry];
}

/// begin[m] = the first sorted entry whose place is not below m, for m in [0, minors].
__global__ void bounds_kernel(const std::uint32_t* key, std::int64_t entries, std::int64_t minors, std::uint32_t* begin) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t m = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; m <= minors; m += step) {
    std::int64_t low = 0, high = entries;
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (key[middle] < m) low = middle + 1;
      else high = middle;
    }
    begin[m] = static_cast<std::uint32_t>(low);
  }
}

/// `count` neighbouring elements of a row.
template <class T, bool packed>
struct Elements {
  static constexpr int kCount = packed ? Pack<T>::kSize : 1;
  T item[kCount];
  __device__ static Elements load(const T* from) {
    Elements read;
    if constexpr (packed) {
      const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(from);
#pragma unroll
      for (int i = 0; i < kCount; ++i) read.item[i] = pack.item[i];
    } else {
      read.item[0] = *from;
    }
    return read;
  }
};

/// sums[part][m][c] = the entries of place m in a part's rows of a. A warp per place and kWarp Elements of columns; blocks count places first, then columns, then parts, so that
/// those at work together read the same rows. `packed`: rows begin on 16 bytes and have whole packs.
template <class T, bool packed>
__global__ void __launch_bounds__(kThreads) add_kernel(const T* a, std::int64_t row_stride, const std::uint32_t* row, const Accumulator<T>* factor, const std::uint32_t* begin, ScatterPlan plan,
                                                       std::int64_t minors, std::int64_t columns, std::int64_t column_tiles, Accumulator<T>* sums) {
  using A = Accumulator<T>;
  using Item = Elements<T, packed>;
  constexpr int kAhead = packed ? 8 : 16;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t place_blocks = (minors + kWarps - 1) / kWarps, block = blockIdx.x;
  const std::int64_t minor = block % place_blocks * kWarps + threadIdx.x / kWarp, tile = block / place_blocks % column_tiles, part = block / place_blocks / column_tiles;
  if (minor >= minors) return;
  const std::int64_t column = (tile * kWarp + lane) * Item::kCount;
  const bool inside = column < columns;
  const T* own = a + (inside ? column : 0);
  const std::uint32_t end = begin[part * minors + minor + 1];
  A sum[Item::kCount] = {};
  for (std::uint32_t first = begin[part * minors + minor]; first < end; first += kWarp) {
    const bool mine = first + lane < end;
    const std::uint32_t my_row = mine ? row[first + lane] : 0u;
    const A my_factor = mine ? factor[first + lane] : A{0};
    const int count = end - first < kWarp ? static_cast<int>(end - first) : kWarp;
    for (int base = 0; base < count; base += kAhead) {
      Item read[kAhead];
      A weight[kAhead];
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        // kAhead divides kWarp: lanes past the last entry say row 0 and are not loaded.
        const std::int64_t from = __shfl_sync(0xffffffffu, my_row, base + k);
        weight[k] = __shfl_sync(0xffffffffu, my_factor, base + k);
        if (base + k < count) read[k] = Item::load(own + from * row_stride);
      }
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        if (base + k >= count) continue;
#pragma unroll
        for (int i = 0; i < Item::kCount; ++i) sum[i] += weight[k] * convert<A>(read[k].item[i]);
      }
    }
  }
  if (!inside) return;
  A* to = sums + (part * minors + minor) * columns + column;
#pragma unroll
  for (int i = 0; i < Item::kCount; ++i) to[i] = sum[i];
}

/// sums[i] (+)= parts[0][i] + parts[1][i] + ... in that order.
template <class A>
__global__ void add_parts(const A* parts, int count, std::int64_t elements, bool first, A* sums) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements; i += step) {
    A sum = first ? A{0} : sums[i];
    for (int p = 0; p < count; ++p) sum += parts[p * elements + i];
    sums[i] = sum;
  }
}

/// A block makes the entries of up to kGatherMajors major vectors, then all threads sum their rows of a.
template <class T>
__global__ void gather_kernel(SparseWindow window, std::int64_t majors, std::int64_t minors, std::int64_t columns, int majors_per_block, Plane<const T> a,
                              Plane<T> out, Accumulator<T> alpha, Accumulator<T> beta) {
  using A = Accumulator<T>;
  __shared__ std::int64_t place[kGatherEntries];
  __shared__ double value[kGatherEntries];
  __shared__ int count[kGatherMajors];
  const int nonzeros = window.pattern.nonzeros;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * majors_per_block;
  const int own = static_cast<int>(majors - first < majors_per_block ? majors - first : majors_per_block);
  if (static_cast<int>(threadIdx.x) < own) {
    const int j = static_cast<int>(threadIdx.x);
    std::int64_t* places = place + j * nonzeros;
    double* values = value + j * nonzeros;
    std::int64_t from[kMaxNonzeros], to[kMaxNonzeros];
    const int drawn = pattern_entries(window.pattern, window.first_major + first + j, places, values, from, to);
    int kept = 0;
    for (int e = 0; e < drawn; ++e) {
      const std::int64_t minor = places[e] - window.first_minor;
      if (minor < 0 || minor >= minors) continue;
      places[kept] = minor;
      values[kept++] = values[e];
    }
    count[j] = kept;
  }
  __syncthreads();
  const bool by_rows = out.rows_are_near();
  for (std::int64_t i = threadIdx.x; i < own * columns; i += blockDim.x) {
    const std::int64_t j = by_rows ? i % own : i / columns, c = by_rows ? i / own : i % columns;
    A sum = 0;
    for (int e = 0; e < count[j]; ++e) sum += static_cast<A>(value[j * nonzeros + e]) * convert<A>(a.at(place[j * nonzeros + e], c));
    T& to = out.at(first + j, c);
    to = blend<T>(alpha, sum, beta, to);
  }
}

template <class T>
__global__ void zero_kernel(Plane<T> out, std::int64_t rows, std::int64_t columns) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * columns; i += step) {
    const bool by_rows = out.rows_are_near();
    out.at(by_rows ? i % rows : i / columns, by_rows ? i / rows : i % columns) = convert<T>(0.0f);
  }
}

template <class T>
__global__ void entries_kernel(SparseWindow window, std::int64_t majors, std::int64_t minors, Plane<T> out, double scale) {
  using A = Accumulator<T>;
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (j >= majors) return;
  std::int64_t place[kMaxNonzeros], from[kMaxNonzeros], to[kMaxNonzeros];
  double value[kMaxNonzeros];
  const int count = pattern_entries(window.pattern, window.first_major + j, place, value, from, to);
  for (int e = 0; e < count; ++e) {
    const std::int64_t minor = place[e] - window.first_minor;
    if (minor >= 0 && minor < minors) out.at(j, minor) = convert<T>(static_cast<A>(scale) * static_cast<A>(value[e]));
  }
}

/// The window with a list's part on the device; the list's memory lives as long as this.
class DeviceWindow {
 public:
  DeviceWindow(const SparseWindow& window, std::int64_t majors, Device device, Allocator& allocator, Stream stream)
      : memory_(allocator, window.pattern.draw == PatternDraw::listed ? static_cast<std::size_t>(majors) * 16 : 0, device, stream), window_(window) {
    if (window.pattern.draw != PatternDraw::listed) return;
    const auto count = static_cast<std::size_t>(majors);
    Upload upload;
    const std::size_t place = upload.add(std::span(window.pattern.place + window.first_major, count));
    const std::size_t value = upload.add(std::span(window.pattern.value + window.first_major, count));
    upload.send(memory_.data(), stream);
    window_.pattern.place = upload.at<std::int64_t>(place);
    window_.pattern.value = upload.at<double>(value);
    window_.first_major = 0;
  }
  const SparseWindow& window() const { return window_; }

 private:
  Workspace memory_;
  SparseWindow window_;
};

/// Arrays of one chunk.
template <class A>
struct ChunkArrays {
  std::uint32_t *key, *sorted_key, *index, *sorted_index, *row, *begin;
  A *value, *factor, *partial;
  void* temporary;
  std::size_t temporary_bytes = 0;

  static std::size_t sort_bytes(std::int64_t entries, int bits) {
    std::size_t bytes = 0;
    std::uint32_t* none = nullptr;
    check_status(cub::DeviceRadixSort::SortPairs(nullptr, bytes, none, none, none, none, static_cast<std::int64_t>(entries), 0, bits), "cub::DeviceRadixSort");
    return bytes;
  }
  /// Lays the arrays out from `memory` (null: only counts) and returns their size.
  std::size_t lay_out(std::byte* memory, std::int64_t entries, std::int64_t places, std::int64_t partial_sums, std::size_t sort) {
    std::size_t used = 0;
    const auto take = [&](auto*& array, std::int64_t count) {
      array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(memory + used);
      used += (static_cast<std::size_t>(count) * sizeof(*array) + 255) / 256 * 256;
    };
    take(value, entries);
    take(factor, entries);
    take(key, entries);
    take(sorted_key, entries);
    take(index, entries);
    take(sorted_index, entries);
    take(begin, places + 1);
    take(partial, partial_sums);
    row = key;  // sorted and then not read again
    temporary = memory + used;
    temporary_bytes = sort;
    return used + sort;
  }
};

template <class A>
void launch_draw(const SparseWindow& window, std::int64_t first, const ScatterPlan& plan, std::int64_t count, std::int64_t minors, const ChunkArrays<A>& arrays, Stream stream) {
  constexpr int kFew = 8;  // draws that stay in registers
  const auto blocks = static_cast<unsigned>(divide_up(count, 128));
  if (window.pattern.nonzeros <= kFew) draw_kernel<kFew, A><<<blocks, 128, 0, native(stream)>>>(window, first, plan, count, minors, arrays.key, arrays.index, arrays.value);
  else draw_kernel<kMaxNonzeros, A><<<blocks, 128, 0, native(stream)>>>(window, first, plan, count, minors, arrays.key, arrays.index, arrays.value);
  check_launch("sparse_scatter draw");
}

template <class T>
void launch_add(const Plane<const T>& a, const ChunkArrays<Accumulator<T>>& arrays, const ScatterPlan& plan, std::int64_t minors, std::int64_t columns, Stream stream) {
  const bool packed = aligned16(a.data) && a.row_stride % Pack<T>::kSize == 0 && columns % Pack<T>::kSize == 0;
  const std::int64_t column_tiles = divide_up(columns, std::int64_t{kWarp} * (packed ? Pack<T>::kSize : 1));
  const std::int64_t blocks = divide_up(minors, kWarps) * column_tiles * plan.parts;
  PANTHER_REQUIRE(blocks < (std::int64_t{1} << 31), "sparse_scatter: ", minors, " places of ", columns, " columns are more than one launch covers; sketch blocks of columns");
  if (packed) {
    add_kernel<T, true><<<static_cast<unsigned>(blocks), kThreads, 0, native(stream)>>>(a.data, a.row_stride, arrays.row, arrays.factor, arrays.begin, plan, minors, columns, column_tiles, arrays.partial);
  } else {
    add_kernel<T, false><<<static_cast<unsigned>(blocks), kThreads, 0, native(stream)>>>(a.data, a.row_stride, arrays.row, arrays.factor, arrays.begin, plan, minors, columns, column_tiles, arrays.partial);
  }
  check_launch("sparse_scatter");
}

template <class T>
void scatter(const SparseWindow& window, double alpha, const TensorView& a, double beta, const TensorView& out, Allocator& allocator, Stream stream) {
  using A = Accumulator<T>;
  const std::int64_t majors = a.shape[0], columns = a.shape[1], minors = out.shape[0];
  const int nonzeros = window.pattern.nonzeros;
  // Columns apart would cost a sector for every element, once for each entry: such a chunk is turned first.
  const bool turned = a.strides[1] != 1 && columns > 1;
  const std::int64_t row_bytes = columns * static_cast<std::int64_t>(sizeof(T));
  const ScatterPlan plan = plan_scatter(majors, minors, nonzeros, row_bytes, turned);
  const int bits = key_bits(plan.parts * minors);
  const Workspace sums(allocator, static_cast<std::size_t>(minors * columns) * sizeof(A), out.device, stream);
  ChunkArrays<A> arrays{};
  const std::size_t sort = ChunkArrays<A>::sort_bytes(plan.entries, bits);
  const std::int64_t places = plan.parts * minors, partial_sums = places * columns;
  const Workspace memory(allocator, arrays.lay_out(nullptr, plan.entries, places, partial_sums, sort), out.device, stream);
  arrays.lay_out(static_cast<std::byte*>(memory.data()), plan.entries, places, partial_sums, sort);
  const Workspace packed(allocator, turned ? static_cast<std::size_t>(plan.majors * columns) * sizeof(T) : 0, out.device, stream);
  for (std::int64_t chunk = 0; chunk < plan.chunks; ++chunk) {
    const std::int64_t first = chunk * plan.majors, count = std::min(plan.majors, majors - first), entries = count * nonzeros;
    const Plane<const T> rows = plane_of<const T>(a.slice(first, count)), dense{static_cast<const T*>(packed.data()), columns, 1};
    if (turned) launch_blend<T, T>(rows, {static_cast<T*>(packed.data()), columns, 1}, count, columns, 1.0, 0.0, stream);
    launch_draw<A>(window, first, plan, count, minors, arrays, stream);
    check_status(cub::DeviceRadixSort::SortPairs(arrays.temporary, arrays.temporary_bytes, arrays.key, arrays.sorted_key, arrays.index, arrays.sorted_index,
                                                 entries, 0, bits, native(stream)), "cub::DeviceRadixSort");
    bounds_kernel<<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(places + 1, kThreads))), kThreads, 0, native(stream)>>>(arrays.sorted_key, entries, places, arrays.begin);
    check_launch("sparse_scatter bounds");
    order_kernel<A><<<static_cast<unsigned>(divide_up(entries, kThreads)), kThreads, 0, native(stream)>>>(arrays.sorted_index, arrays.value, entries, nonzeros, arrays.row, arrays.factor);
    check_launch("sparse_scatter order");
    launch_add<T>(turned ? dense : rows, arrays, plan, minors, columns, stream);
    add_parts<A><<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(minors * columns, kThreads))), kThreads, 0, native(stream)>>>(
        arrays.partial, static_cast<int>(plan.parts), minors * columns, chunk == 0, static_cast<A*>(sums.data()));
    check_launch("sparse_scatter parts");
  }
  launch_blend<A, T>({static_cast<const A*>(sums.data()), columns, 1}, plane_of<T>(out), minors, columns, alpha, beta, stream);
}

/// out = beta out.
template <class T>
void scale_only(double beta, const TensorView& out, Stream stream) {
  launch_blend<T, T>(plane_of<const T>(out), plane_of<T>(out), out.shape[0], out.shape[1], beta, 0.0, stream);
}

}  // namespace

void sparse_scatter(const SparseWindow& window, double alpha, const TensorView& a_JC, double beta, const TensorView& out_MC, Allocator& allocator,
                    Stream stream) {
  check::sparse_product("sparse_scatter", window, a_JC.shape[0], out_MC.shape[0], a_JC, out_MC);
  PANTHER_REQUIRE(out_MC.shape[0] < (std::int64_t{1} << 32), "sparse_scatter: at most 2^32 - 1 places on CUDA, not ", out_MC.shape[0]);
  if (out_MC.numel() == 0) return;
  const DeviceScope scope(out_MC.device.index);
  if (a_JC.shape[0] == 0) {
    with_floating(out_MC.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (beta != 0) return scale_only<T>(beta, out_MC, stream);
      zero_kernel<T><<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(out_MC.numel(), kThreads))), kThreads, 0, native(stream)>>>(plane_of<T>(out_MC), out_MC.shape[0], out_MC.shape[1]);
      check_launch("sparse_scatter");
    });
    return;
  }
  const DeviceWindow own(window, a_JC.shape[0], out_MC.device, allocator, stream);
  with_floating(out_MC.dtype, [&](auto tag) { scatter<typename decltype(tag)::type>(own.window(), alpha, a_JC, beta, out_MC, allocator, stream); });
}

void sparse_gather(const SparseWindow& window, double alpha, const TensorView& a_MC, double beta, const TensorView& out_JC, Allocator& allocator, Stream stream) {
  check::sparse_product("sparse_gather", window, out_JC.shape[0], a_MC.shape[0], a_MC, out_JC);
  if (out_JC.numel() == 0) return;
  const DeviceScope scope(out_JC.device.index);
  const std::int64_t majors = out_JC.shape[0];
  const DeviceWindow own(window, majors, out_JC.device, allocator, stream);
  const int per_block = plan_gather_majors(window.pattern.nonzeros);
  with_floating(out_JC.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Accumulator<T>;
    gather_kernel<T><<<static_cast<unsigned>(divide_up(majors, per_block)), kThreads, 0, native(stream)>>>(
        own.window(), majors, a_MC.shape[0], out_JC.shape[1], per_block, plane_of<const T>(a_MC), plane_of<T>(out_JC), static_cast<A>(alpha), static_cast<A>(beta));
  });
  check_launch("sparse_gather");
}

void sparse_expand(const SparseWindow& window, double scale, const TensorView& out_JM, Allocator& allocator, Stream stream) {
  const std::int64_t majors = out_JM.shape[0], minors = out_JM.shape[1];
  check::sparse_window("sparse_expand", window, majors, minors, out_JM);
  if (out_JM.numel() == 0) return;
  const DeviceScope scope(out_JM.device.index);
  const DeviceWindow own(window, majors, out_JM.device, allocator, stream);
  with_floating(out_JM.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    zero_kernel<T><<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(out_JM.numel(), kThreads))), kThreads, 0, native(stream)>>>(plane_of<T>(out_JM), majors, minors);
    check_launch("sparse_expand");
    entries_kernel<T><<<static_cast<unsigned>(divide_up(majors, 128)), 128, 0, native(stream)>>>(own.window(), majors, minors, plane_of<T>(out_JM), scale);
  });
  check_launch("sparse_expand");
}

}  // namespace panther::cuda
