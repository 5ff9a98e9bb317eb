// Sparse sketches without atomics. A scatter keeps its sums in shared memory where they fit (slab_kernel); else it sorts the entries of a
// chunk of major vectors by place (radix sort is stable, so every place adds in ascending order) and gives each place to one warp; a gather
// makes its entries in shared memory.
#include "kernels/cuda/sparse_sketch.h"

#include <cub/device/device_radix_sort.cuh>

#include "core/error.h"
#include "kernels/cuda/matrix_tiles.cuh"
#include "kernels/cuda/sparse_plan.h"
#include "kernels/cuda/upload.h"
#include "kernels/sketch/check_products.h"

namespace panther::cuda {
namespace {

constexpr int kWarp = 32;

/// The entries of major vector `first + j` for j < majors, `nonzeros` places each: key[e] the place or `minors` when there is none in the
/// window, value[e] beside it, index[e] = e.
__global__ void draw_kernel(SparseWindow window, std::int64_t first, std::int64_t majors, std::int64_t minors, std::uint32_t* key, std::uint32_t* index, double* value) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (j >= majors) return;
  std::int64_t place[kMaxNonzeros], from[kMaxNonzeros], to[kMaxNonzeros];
  double drawn[kMaxNonzeros];
  const int nonzeros = window.pattern.nonzeros;
  const int count = pattern_entries(window.pattern, window.first_major + first + j, place, drawn, from, to);
  for (int t = 0; t < nonzeros; ++t) {
    const std::int64_t e = j * nonzeros + t, minor = t < count ? place[t] - window.first_minor : -1;
    const bool inside = minor >= 0 && minor < minors;
    key[e] = static_cast<std::uint32_t>(inside ? minor : minors);
    index[e] = static_cast<std::uint32_t>(e);
    value[e] = inside ? drawn[t] : 0.0;
  }
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

/// sums[m][c] (+)= the entries of place m. One warp per place and 32 columns; `a` is the chunk's rows.
template <class T>
__global__ void add_kernel(Plane<const T> a, const std::uint32_t* index, const double* value, const std::uint32_t* begin, int nonzeros, std::int64_t minors,
                           std::int64_t columns, bool first, Accumulator<T>* sums) {
  using A = Accumulator<T>;
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * kWarp + threadIdx.x;
  for (std::int64_t m = static_cast<std::int64_t>(blockIdx.y) * blockDim.y + threadIdx.y; m < minors; m += static_cast<std::int64_t>(gridDim.y) * blockDim.y) {
    if (c >= columns) continue;
    A sum = first ? A{0} : sums[m * columns + c];
    for (std::uint32_t e = begin[m]; e < begin[m + 1]; ++e) {
      const std::uint32_t entry = index[e];
      sum += static_cast<A>(value[entry]) * convert<A>(a.at(entry / nonzeros, c));
    }
    sums[m * columns + c] = sum;
  }
}

/// partial[part][m][c] = the entries of place m in a part's rows of a. Block (slab of columns, part). A warp owns the places that are its number modulo the
/// warps and a lane a column, so a sum has one owner, which adds in ascending order.
template <class T>
__global__ void __launch_bounds__(kSlabThreads) slab_kernel(Plane<const T> a, const std::uint32_t* key, const double* value, int nonzeros, std::int64_t majors,
                                                            std::int64_t majors_per_part, std::int64_t minors, std::int64_t columns, Accumulator<T>* partial) {
  using A = Accumulator<T>;
  constexpr int kWarps = kSlabThreads / kWarp, kEach = kSlabRows * kSlabColumns / kSlabThreads, kPitch = kSlabColumns + 1;
  extern __shared__ __align__(16) unsigned char slab_memory[];
  const int entries = kSlabRows * nonzeros, lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  A* sum = reinterpret_cast<A*>(slab_memory);
  A* tile = sum + minors * kSlabColumns;
  A* factor = tile + kSlabRows * kPitch;
  auto* place = reinterpret_cast<std::uint32_t*>(factor + entries);
  const std::int64_t column0 = static_cast<std::int64_t>(blockIdx.x) * kSlabColumns, begin = static_cast<std::int64_t>(blockIdx.y) * majors_per_part;
  const std::int64_t end = begin + majors_per_part < majors ? begin + majors_per_part : majors;
  for (std::int64_t m = warp; m < minors; m += kWarps) sum[m * kSlabColumns + lane] = A{0};
  const bool rows_near = a.rows_are_near();
  A next[kEach];
  const auto fetch = [&](std::int64_t row0) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int t = static_cast<int>(threadIdx.x) + i * kSlabThreads;
      const int r = rows_near ? t % kSlabRows : t / kSlabColumns, c = rows_near ? t / kSlabRows : t % kSlabColumns;
      next[i] = row0 + r < end && column0 + c < columns ? convert<A>(a.at(row0 + r, column0 + c)) : A{0};
    }
  };
  fetch(begin);
  for (std::int64_t row0 = begin; row0 < end; row0 += kSlabRows) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int t = static_cast<int>(threadIdx.x) + i * kSlabThreads;
      const int r = rows_near ? t % kSlabRows : t / kSlabColumns, c = rows_near ? t / kSlabRows : t % kSlabColumns;
      tile[r * kPitch + c] = next[i];
    }
    for (int e = static_cast<int>(threadIdx.x); e < entries; e += kSlabThreads) {
      const bool inside = row0 + e / nonzeros < end;
      place[e] = inside ? key[row0 * nonzeros + e] : static_cast<std::uint32_t>(minors);
      factor[e] = inside ? static_cast<A>(value[row0 * nonzeros + e]) : A{0};
    }
    __syncthreads();
    if (row0 + kSlabRows < end) fetch(row0 + kSlabRows);  // on its way while this tile is added
    for (int base = 0; base < entries; base += kWarp) {
      const std::uint32_t mine = place[base + lane];
      unsigned own = __ballot_sync(0xffffffffu, mine < minors && static_cast<int>(mine % kWarps) == warp);
      while (own != 0) {
        const int e = base + __ffs(static_cast<int>(own)) - 1;
        own &= own - 1;
        sum[static_cast<std::int64_t>(place[e]) * kSlabColumns + lane] += factor[e] * tile[e / nonzeros * kPitch + lane];
      }
    }
  }
  if (column0 + lane >= columns) return;
  A* out = partial + static_cast<std::int64_t>(blockIdx.y) * minors * columns;
  for (std::int64_t m = warp; m < minors; m += kWarps) out[m * columns + column0 + lane] = sum[m * kSlabColumns + lane];
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
struct ChunkArrays {
  std::uint32_t *key, *sorted_key, *index, *sorted_index, *begin;
  double* value;
  void* temporary;
  std::size_t temporary_bytes = 0;

  static std::size_t sort_bytes(std::int64_t entries, int bits) {
    std::size_t bytes = 0;
    std::uint32_t* none = nullptr;
    check_status(cub::DeviceRadixSort::SortPairs(nullptr, bytes, none, none, none, none, static_cast<std::int64_t>(entries), 0, bits), "cub::DeviceRadixSort");
    return bytes;
  }
  /// Lays the arrays out from `memory` (null: only counts) and returns their size.
  std::size_t lay_out(std::byte* memory, std::int64_t entries, std::int64_t minors, std::size_t sort) {
    std::size_t used = 0;
    const auto take = [&](auto*& array, std::int64_t count) {
      array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(memory + used);
      used += (static_cast<std::size_t>(count) * sizeof(*array) + 255) / 256 * 256;
    };
    take(value, entries);
    take(key, entries);
    take(sorted_key, entries);
    take(index, entries);
    take(sorted_index, entries);
    take(begin, minors + 1);
    temporary = memory + used;
    temporary_bytes = sort;
    return used + sort;
  }
};

/// The scatter that reads a once; false where its sums do not fit.
template <class T>
bool scatter_by_slabs(const SparseWindow& window, double alpha, const TensorView& a, double beta, const TensorView& out, Allocator& allocator, Stream stream) {
  using A = Accumulator<T>;
  const std::int64_t majors = a.shape[0], columns = a.shape[1], minors = out.shape[0];
  const int nonzeros = window.pattern.nonzeros;
  if (!plan_slabs(majors, minors, columns, nonzeros, sizeof(A)).fits) return false;
  // As many major vectors at a time as kSparseChunkEntries entries have: whole tiles.
  const std::int64_t chunk = std::min(majors, std::max<std::int64_t>(kSlabRows, kSparseChunkEntries / nonzeros / kSlabRows * kSlabRows));
  const SlabPlan largest = plan_slabs(chunk, minors, columns, nonzeros, sizeof(A));
  const Workspace keys(allocator, static_cast<std::size_t>(chunk * nonzeros) * 4, out.device, stream), indices(allocator, static_cast<std::size_t>(chunk * nonzeros) * 4, out.device, stream),
      values(allocator, static_cast<std::size_t>(chunk * nonzeros) * 8, out.device, stream);
  const Workspace partial(allocator, static_cast<std::size_t>(largest.parts * minors * columns) * sizeof(A), out.device, stream),
      sums(allocator, static_cast<std::size_t>(minors * columns) * sizeof(A), out.device, stream);
  auto *key = static_cast<std::uint32_t*>(keys.data()), *index = static_cast<std::uint32_t*>(indices.data());
  auto* value = static_cast<double*>(values.data());
  check_status(cudaFuncSetAttribute(slab_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(largest.shared_bytes)), "cudaFuncSetAttribute");
  for (std::int64_t first = 0; first < majors; first += chunk) {
    const std::int64_t count = std::min(chunk, majors - first);
    const SlabPlan plan = plan_slabs(count, minors, columns, nonzeros, sizeof(A));
    draw_kernel<<<static_cast<unsigned>(divide_up(count, 128)), 128, 0, native(stream)>>>(window, first, count, minors, key, index, value);
    check_launch("sparse_scatter draw");
    slab_kernel<T><<<dim3(static_cast<unsigned>(divide_up(columns, kSlabColumns)), static_cast<unsigned>(plan.parts)), kSlabThreads, static_cast<std::size_t>(plan.shared_bytes), native(stream)>>>(
        plane_of<const T>(a.slice(first, count)), key, value, nonzeros, count, plan.majors_per_part, minors, columns, static_cast<A*>(partial.data()));
    check_launch("sparse_scatter slab");
    add_parts<A><<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(minors * columns, kThreads))), kThreads, 0, native(stream)>>>(
        static_cast<const A*>(partial.data()), plan.parts, minors * columns, first == 0, static_cast<A*>(sums.data()));
    check_launch("sparse_scatter parts");
  }
  launch_blend<A, T>({static_cast<const A*>(sums.data()), columns, 1}, plane_of<T>(out), minors, columns, alpha, beta, stream);
  return true;
}

/// Shared memory that a block may ask for on this device.
std::int64_t shared_limit(int device) {
  int bytes = 0;
  check_status(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "cudaDeviceGetAttribute");
  return bytes;
}

template <class T>
void scatter(const SparseWindow& window, double alpha, const TensorView& a, double beta, const TensorView& out, Allocator& allocator, Stream stream) {
  using A = Accumulator<T>;
  const std::int64_t majors = a.shape[0], columns = a.shape[1], minors = out.shape[0];
  const int nonzeros = window.pattern.nonzeros, bits = key_bits(minors);
  if (shared_limit(out.device.index) >= kSlabSharedBytes && scatter_by_slabs<T>(window, alpha, a, beta, out, allocator, stream)) return;
  const ScatterChunks plan = plan_scatter_chunks(majors, nonzeros, columns * static_cast<std::int64_t>(sizeof(T)));
  const Workspace sums(allocator, static_cast<std::size_t>(minors * columns) * sizeof(A), out.device, stream);
  ChunkArrays arrays{};
  const std::size_t sort = ChunkArrays::sort_bytes(plan.entries, bits);
  const Workspace memory(allocator, arrays.lay_out(nullptr, plan.entries, minors, sort), out.device, stream);
  arrays.lay_out(static_cast<std::byte*>(memory.data()), plan.entries, minors, sort);
  // Columns apart would cost a sector for every element, once for each entry: such a chunk is turned first.
  const bool turned = a.strides[1] != 1 && columns > 1;
  const Workspace packed(allocator, turned ? static_cast<std::size_t>(plan.majors * columns) * sizeof(T) : 0, out.device, stream);
  for (std::int64_t chunk = 0; chunk < plan.chunks; ++chunk) {
    const std::int64_t first = chunk * plan.majors, count = std::min(plan.majors, majors - first), entries = count * nonzeros;
    const Plane<const T> rows = plane_of<const T>(a.slice(first, count)), dense{static_cast<const T*>(packed.data()), columns, 1};
    if (turned) launch_blend<T, T>(rows, {static_cast<T*>(packed.data()), columns, 1}, count, columns, 1.0, 0.0, stream);
    draw_kernel<<<static_cast<unsigned>(divide_up(count, 128)), 128, 0, native(stream)>>>(window, first, count, minors, arrays.key, arrays.index, arrays.value);
    check_launch("sparse_scatter draw");
    check_status(cub::DeviceRadixSort::SortPairs(arrays.temporary, arrays.temporary_bytes, arrays.key, arrays.sorted_key, arrays.index, arrays.sorted_index,
                                                 entries, 0, bits, native(stream)), "cub::DeviceRadixSort");
    bounds_kernel<<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(minors + 1, kThreads))), kThreads, 0, native(stream)>>>(arrays.sorted_key, entries, minors, arrays.begin);
    check_launch("sparse_scatter bounds");
    const TilePlan tiles = plan_tiles(minors, columns, kThreads / kWarp, kWarp);
    add_kernel<T><<<dim3(tiles.columns, tiles.rows), dim3(kWarp, kThreads / kWarp), 0, native(stream)>>>(
        turned ? dense : rows, arrays.sorted_index, arrays.value, arrays.begin, nonzeros, minors, columns, chunk == 0, static_cast<A*>(sums.data()));
    check_launch("sparse_scatter");
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
