// Sampled Hadamard products as H_high (x) H_low: each pass transforms tiles in shared memory; between them stand only the rows whose low
// bits some sample has, one panel of columns at a time. The additions are those of the CPU, in the same order.
#include "kernels/cuda/hadamard.h"

#include <numeric>
#include <optional>
#include <vector>

#include "core/error.h"
#include "kernels/cuda/hadamard_plan.h"
#include "kernels/cuda/matrix_tiles.cuh"
#include "kernels/cuda/register_transform.h"
#include "kernels/cuda/upload.h"
#include "kernels/element/sign.h"
#include "kernels/sketch/check_products.h"
#include "kernels/sketch/sample_plan.h"

namespace panther::cuda {
namespace {

/// The sample plan on the device.
struct Samples {
  const std::int64_t *low, *begin, *output, *high;
  std::int64_t groups;
};

/// One panel of columns. kept[block - first_block][group][panel column] stands between the passes.
template <class A>
struct Panel {
  std::int64_t first_position, positions;  ///< of the data in the padded vector
  std::int64_t first_block, blocks;        ///< of low_size positions that hold data
  std::int64_t first_column, columns, columns_end;
  std::int64_t low_size, high_size;
  int lanes;
  bool with_signs;
  SignKey signs;
  A* kept;
  __device__ A& at(std::int64_t block, std::int64_t group, std::int64_t groups, std::int64_t column) const {
    return kept[(block * groups + group) * columns + column - first_column];
  }
};

template <class A>
__device__ A signed_value(const Panel<A>& panel, std::int64_t position, A value) {
  return panel.with_signs && sign_is_negative(panel.signs, 0, static_cast<std::uint32_t>(position)) ? -value : value;
}

template <int radix, class A>
__device__ void radix_step(A* tile, std::int64_t distance, std::int64_t rows, int lanes) {
  for (std::int64_t i = threadIdx.x; i < rows / radix * lanes; i += blockDim.x) {
    A* x = tile + first_row_of_group(i / lanes, distance, radix) * lanes + i % lanes;
    A r[radix];
#pragma unroll
    for (int g = 0; g < radix; ++g) r[g] = x[g * distance * lanes];
#pragma unroll
    for (int apart = 1; apart < radix; apart *= 2) {
#pragma unroll
      for (int g = 0; g < radix; ++g) {
        if ((g & apart) != 0) continue;
        const A sum = r[g] + r[g + apart];
        r[g + apart] = r[g] - r[g + apart];
        r[g] = sum;
      }
    }
#pragma unroll
    for (int g = 0; g < radix; ++g) x[g * distance * lanes] = r[g];
  }
  __syncthreads();
}

/// tile[rows][lanes] = H tile; all threads of the block, tile complete before and after.
template <class A>
__device__ void transform_tile(A* tile, std::int64_t rows, int lanes) {
  __syncthreads();
  for (std::int64_t distance = 1; distance < rows;) {
    const int radix = next_radix(distance, rows);
    if (radix == 8) radix_step<8>(tile, distance, rows, lanes);
    else if (radix == 4) radix_step<4>(tile, distance, rows, lanes);
    else radix_step<2>(tile, distance, rows, lanes);
    distance *= radix;
  }
}

template <class A>
__device__ A* shared_tile() {
  extern __shared__ __align__(16) unsigned char memory[];
  return reinterpret_cast<A*>(memory);
}

/// Which element of a tile a thread's i-th one is: along the matrix's near dimension.
struct TileIndex {
  std::int64_t row;
  int lane;
  __device__ TileIndex(std::int64_t i, std::int64_t rows, int lanes, bool rows_are_near)
      : row(rows_are_near ? i % rows : i / lanes), lane(static_cast<int>(rows_are_near ? i / rows : i % lanes)) {}
};

// First pass of a projection. Block (column tile, block of positions).
template <class T>
__global__ void project_blocks(Panel<Accumulator<T>> panel, Samples samples, Plane<const T> a) {
  using A = Accumulator<T>;
  A* tile = shared_tile<A>();
  const std::int64_t column0 = panel.first_column + static_cast<std::int64_t>(blockIdx.x) * panel.lanes, position0 = (panel.first_block + blockIdx.y) * panel.low_size;
  for (std::int64_t i = threadIdx.x; i < panel.low_size * panel.lanes; i += blockDim.x) {
    const TileIndex at(i, panel.low_size, panel.lanes, a.rows_are_near());
    const std::int64_t position = position0 + at.row, row = position - panel.first_position, column = column0 + at.lane;
    const bool inside = row >= 0 && row < panel.positions && column < panel.columns_end;
    tile[at.row * panel.lanes + at.lane] = inside ? signed_value<A>(panel, position, convert<A>(a.at(row, column))) : A{0};
  }
  transform_tile(tile, panel.low_size, panel.lanes);
  for (std::int64_t i = threadIdx.x; i < samples.groups * panel.lanes; i += blockDim.x) {
    const std::int64_t group = i / panel.lanes, column = column0 + i % panel.lanes;
    if (column < panel.columns_end) panel.at(blockIdx.y, group, samples.groups, column) = tile[samples.low[group] * panel.lanes + i % panel.lanes];
  }
}

// Second pass of a projection. Block (column tile, groups by the grid's height).
template <class T>
__global__ void project_groups(Panel<Accumulator<T>> panel, Samples samples, Plane<T> out, Accumulator<T> alpha, Accumulator<T> beta) {
  using A = Accumulator<T>;
  A* tile = shared_tile<A>();
  const std::int64_t column0 = panel.first_column + static_cast<std::int64_t>(blockIdx.x) * panel.lanes;
  for (std::int64_t group = blockIdx.y; group < samples.groups; group += gridDim.y) {
    for (std::int64_t i = threadIdx.x; i < panel.high_size * panel.lanes; i += blockDim.x) {
      const std::int64_t block = i / panel.lanes - panel.first_block, column = column0 + i % panel.lanes;
      const bool inside = block >= 0 && block < panel.blocks && column < panel.columns_end;
      tile[i] = inside ? panel.at(block, group, samples.groups, column) : A{0};
    }
    transform_tile(tile, panel.high_size, panel.lanes);
    const std::int64_t first = samples.begin[group], count = samples.begin[group + 1] - first;
    for (std::int64_t i = threadIdx.x; i < count * panel.lanes; i += blockDim.x) {
      const std::int64_t e = first + i / panel.lanes, column = column0 + i % panel.lanes;
      if (column >= panel.columns_end) continue;
      T& to = out.at(samples.output[e], column);
      to = blend<T>(alpha, tile[samples.high[e] * panel.lanes + i % panel.lanes], beta, to);
    }
    __syncthreads();
  }
}

// First pass of a lift.
template <class T>
__global__ void lift_groups(Panel<Accumulator<T>> panel, Samples samples, Plane<const T> a) {
  using A = Accumulator<T>;
  A* tile = shared_tile<A>();
  const std::int64_t column0 = panel.first_column + static_cast<std::int64_t>(blockIdx.x) * panel.lanes;
  for (std::int64_t group = blockIdx.y; group < samples.groups; group += gridDim.y) {
    for (std::int64_t i = threadIdx.x; i < panel.high_size * panel.lanes; i += blockDim.x) tile[i] = A{0};
    __syncthreads();
    const std::int64_t first = samples.begin[group], count = samples.begin[group + 1] - first;
    for (std::int64_t i = threadIdx.x; i < count * panel.lanes; i += blockDim.x) {
      const std::int64_t e = first + i / panel.lanes, column = column0 + i % panel.lanes;
      if (column < panel.columns_end) tile[samples.high[e] * panel.lanes + i % panel.lanes] = convert<A>(a.at(samples.output[e], column));
    }
    transform_tile(tile, panel.high_size, panel.lanes);
    for (std::int64_t i = threadIdx.x; i < panel.blocks * panel.lanes; i += blockDim.x) {
      const std::int64_t block = i / panel.lanes, column = column0 + i % panel.lanes;
      if (column < panel.columns_end) panel.at(block, group, samples.groups, column) = tile[(panel.first_block + block) * panel.lanes + i % panel.lanes];
    }
    __syncthreads();
  }
}

// Second pass of a lift.
template <class T>
__global__ void lift_blocks(Panel<Accumulator<T>> panel, Samples samples, Plane<T> out, Accumulator<T> alpha, Accumulator<T> beta) {
  using A = Accumulator<T>;
  A* tile = shared_tile<A>();
  const std::int64_t column0 = panel.first_column + static_cast<std::int64_t>(blockIdx.x) * panel.lanes, position0 = (panel.first_block + blockIdx.y) * panel.low_size;
  for (std::int64_t i = threadIdx.x; i < panel.low_size * panel.lanes; i += blockDim.x) tile[i] = A{0};
  __syncthreads();
  for (std::int64_t i = threadIdx.x; i < samples.groups * panel.lanes; i += blockDim.x) {
    const std::int64_t group = i / panel.lanes, column = column0 + i % panel.lanes;
    if (column < panel.columns_end) tile[samples.low[group] * panel.lanes + i % panel.lanes] = panel.at(blockIdx.y, group, samples.groups, column);
  }
  transform_tile(tile, panel.low_size, panel.lanes);
  for (std::int64_t i = threadIdx.x; i < panel.low_size * panel.lanes; i += blockDim.x) {
    const TileIndex at(i, panel.low_size, panel.lanes, out.rows_are_near());
    const std::int64_t position = position0 + at.row, row = position - panel.first_position, column = column0 + at.lane;
    if (row < 0 || row >= panel.positions || column >= panel.columns_end) continue;
    T& to = out.at(row, column);
    to = blend<T>(alpha, signed_value<A>(panel, position, tile[at.row * panel.lanes + at.lane]), beta, to);
  }
}

// One pass of a whole transform in place: rows `distance` apart, `rows` of them to a tile. Block (column tile, group of rows by the grid's height).
template <class T>
__global__ void transform_rows(Plane<T> x, std::int64_t columns, std::int64_t distance, std::int64_t rows, std::int64_t groups, int lanes, Accumulator<T> scale) {
  using A = Accumulator<T>;
  A* tile = shared_tile<A>();
  const std::int64_t column0 = static_cast<std::int64_t>(blockIdx.x) * lanes;
  for (std::int64_t group = blockIdx.y; group < groups; group += gridDim.y) {
    const std::int64_t row0 = first_row_of_group(group, distance, static_cast<int>(rows));
    for (std::int64_t i = threadIdx.x; i < rows * lanes; i += blockDim.x) {
      const TileIndex at(i, rows, lanes, x.rows_are_near());
      tile[at.row * lanes + at.lane] = column0 + at.lane < columns ? convert<A>(x.at(row0 + at.row * distance, column0 + at.lane)) : A{0};
    }
    transform_tile(tile, rows, lanes);
    for (std::int64_t i = threadIdx.x; i < rows * lanes; i += blockDim.x) {
      const TileIndex at(i, rows, lanes, x.rows_are_near());
      if (column0 + at.lane < columns) x.at(row0 + at.row * distance, column0 + at.lane) = convert<T>(scale * tile[at.row * lanes + at.lane]);
    }
    __syncthreads();
  }
}

template <class T>
__global__ void expand_kernel(SignKey signs, std::int64_t first_position, const std::int64_t* samples, std::int64_t rows, std::int64_t columns, T scale, Plane<T> out) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * columns; i += step) {
    const bool by_rows = out.rows_are_near();
    const std::int64_t k = by_rows ? i % rows : i / columns, p = by_rows ? i / rows : i % columns, position = first_position + p;
    const std::uint32_t parity = static_cast<std::uint32_t>(__popcll(static_cast<unsigned long long>(samples[k] & position))) & 1u;
    const std::uint32_t flip = sign_is_negative(signs, 0, static_cast<std::uint32_t>(position)) ? 1u : 0u;
    out.at(k, p) = with_sign(scale, parity ^ flip);
  }
}

template <class Kernel>
void allow_tile(Kernel kernel) {
  check_status(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kHadamardTileBytes)), "cudaFuncSetAttribute");
}

/// A product's plan, its samples on the device, and the panels' memory.
template <class T>
class SampledTransform {
  using A = Accumulator<T>;

 public:
  /// `columns` and `positions` are the data's.
  SampledTransform(const char* entry, const SampledHadamard& sketch, bool with_signs, std::int64_t first_position, std::int64_t positions, std::int64_t columns,
                   Device device, Allocator& allocator, Stream stream)
      : tiles_(plan_hadamard_tiles(sketch.log2_size, columns, sizeof(A))), plan_(plan_samples(sketch.samples, sketch.log2_size, tiles_.low_bits)),
        list_(allocator, (4 * plan_.output.size() + 1) * 8, device, stream), columns_(columns), stream_(stream) {
    PANTHER_REQUIRE(tiles_.fits, entry, ": 2^", sketch.log2_size, " rows are more than two passes in shared memory transform; sketch blocks of rows");
    upload();
    panel_.first_position = first_position;
    panel_.positions = positions;
    panel_.low_size = plan_.low_size();
    panel_.high_size = plan_.high_size();
    panel_.first_block = first_position / panel_.low_size;
    panel_.blocks = divide_up(first_position + positions, panel_.low_size) - panel_.first_block;
    panel_.lanes = tiles_.lanes;
    panel_.with_signs = with_signs;
    panel_.signs = sketch.signs;
    panel_.columns = plan_hadamard_panel(panel_.blocks * plan_.groups(), columns, tiles_.lanes, sizeof(A));
    kept_.emplace(allocator, static_cast<std::size_t>(panel_.blocks * plan_.groups() * panel_.columns) * sizeof(A), device, stream);
    panel_.kept = static_cast<A*>(kept_->data());
  }

  void project(double alpha, const TensorView& a, double beta, const TensorView& out) {
    allow_tile(project_blocks<T>);
    allow_tile(project_groups<T>);
    over_panels([&](unsigned tiles) {
      project_blocks<T><<<dim3(tiles, static_cast<unsigned>(panel_.blocks)), kThreads, low_bytes(), native(stream_)>>>(panel_, samples_, plane_of<const T>(a));
      check_launch("hadamard_project");
      project_groups<T><<<dim3(tiles, group_rows()), kThreads, high_bytes(), native(stream_)>>>(panel_, samples_, plane_of<T>(out), static_cast<A>(alpha), static_cast<A>(beta));
      check_launch("hadamard_project");
    });
  }

  void lift(double alpha, const TensorView& a, double beta, const TensorView& out) {
    allow_tile(lift_groups<T>);
    allow_tile(lift_blocks<T>);
    over_panels([&](unsigned tiles) {
      lift_groups<T><<<dim3(tiles, group_rows()), kThreads, high_bytes(), native(stream_)>>>(panel_, samples_, plane_of<const T>(a));
      check_launch("hadamard_lift");
      lift_blocks<T><<<dim3(tiles, static_cast<unsigned>(panel_.blocks)), kThreads, low_bytes(), native(stream_)>>>(panel_, samples_, plane_of<T>(out), static_cast<A>(alpha), static_cast<A>(beta));
      check_launch("hadamard_lift");
    });
  }

 private:
  void upload() {
    Upload lists;
    const std::size_t low = lists.add(std::span<const std::int64_t>(plan_.low)), begin = lists.add(std::span<const std::int64_t>(plan_.begin));
    const std::size_t output = lists.add(std::span<const std::int64_t>(plan_.output)), high = lists.add(std::span<const std::int64_t>(plan_.high));
    lists.send(list_.data(), stream_);
    samples_ = {lists.template at<std::int64_t>(low), lists.template at<std::int64_t>(begin), lists.template at<std::int64_t>(output),
                lists.template at<std::int64_t>(high), plan_.groups()};
  }
  std::size_t low_bytes() const { return static_cast<std::size_t>(panel_.low_size * panel_.lanes) * sizeof(A); }
  std::size_t high_bytes() const { return static_cast<std::size_t>(panel_.high_size * panel_.lanes) * sizeof(A); }
  unsigned group_rows() const { return static_cast<unsigned>(std::min<std::int64_t>(65535, plan_.groups())); }

  template <class Body>
  void over_panels(Body&& body) {
    for (std::int64_t column = 0; column < columns_; column += panel_.columns) {
      panel_.first_column = column;
      panel_.columns_end = std::min(columns_, column + panel_.columns);
      body(static_cast<unsigned>(divide_up(panel_.columns_end - column, panel_.lanes)));
    }
  }

  HadamardTiles tiles_;
  SamplePlan plan_;
  Workspace list_;
  std::int64_t columns_;
  Stream stream_;
  std::optional<Workspace> kept_;
  Samples samples_{};
  Panel<A> panel_{};
};

/// For a product over nothing; beta == 0 writes zeros without reading.
void only_beta(double beta, const TensorView& out, Allocator& allocator, Stream stream) {
  const Workspace zeros(allocator, 256, out.device, stream);
  check_status(cudaMemsetAsync(zeros.data(), 0, 256, native(stream)), "cudaMemsetAsync");
  with_floating(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Plane<const T> zero{static_cast<const T*>(zeros.data()), 0, 0};
    launch_blend<T, T>(zero, plane_of<T>(out), out.shape[0], out.shape[1], 0.0, beta, stream);
  });
}

}  // namespace

void hadamard_project(const SampledHadamard& sketch, std::int64_t first_position, double alpha, const TensorView& a_PC, double beta,
                      const TensorView& out_KC, Allocator& allocator, Stream stream) {
  check::hadamard_product("hadamard_project", sketch, first_position, out_KC.shape[0], a_PC.shape[0], a_PC, out_KC);
  if (out_KC.numel() == 0) return;
  const DeviceScope scope(out_KC.device.index);
  if (a_PC.shape[0] == 0) return only_beta(beta, out_KC, allocator, stream);
  with_floating(out_KC.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    SampledTransform<T>("hadamard_project", sketch, true, first_position, a_PC.shape[0], a_PC.shape[1], a_PC.device, allocator, stream).project(alpha, a_PC, beta, out_KC);
  });
}

void hadamard_lift(const SampledHadamard& sketch, std::int64_t first_position, double alpha, const TensorView& a_KC, double beta,
                   const TensorView& out_PC, Allocator& allocator, Stream stream) {
  check::hadamard_product("hadamard_lift", sketch, first_position, a_KC.shape[0], out_PC.shape[0], a_KC, out_PC);
  if (out_PC.numel() == 0) return;
  const DeviceScope scope(out_PC.device.index);
  if (a_KC.shape[0] == 0) return only_beta(beta, out_PC, allocator, stream);
  with_floating(out_PC.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    SampledTransform<T>("hadamard_lift", sketch, true, first_position, out_PC.shape[0], out_PC.shape[1], out_PC.device, allocator, stream).lift(alpha, a_KC, beta, out_PC);
  });
}

void hadamard_expand(const SampledHadamard& sketch, std::int64_t first_position, double scale, const TensorView& out_KP, Allocator& allocator, Stream stream) {
  check::hadamard_window("hadamard_expand", sketch, first_position, out_KP.shape[0], out_KP.shape[1], out_KP);
  if (out_KP.numel() == 0) return;
  const DeviceScope scope(out_KP.device.index);
  Upload list;
  const std::size_t place = list.add(sketch.samples);
  const Workspace memory(allocator, list.bytes(), out_KP.device, stream);
  list.send(memory.data(), stream);
  with_floating(out_KP.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    expand_kernel<T><<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(out_KP.numel(), kThreads))), kThreads, 0, native(stream)>>>(
        sketch.signs, first_position, list.at<std::int64_t>(place), out_KP.shape[0], out_KP.shape[1], convert<T>(scale), plane_of<T>(out_KP));
  });
  check_launch("hadamard_expand");
}

namespace {

/// False where the plan has no passes for this size and type.
template <class T>
bool transform_in_place(double scale, const TensorView& x, int log2_size, Stream stream) {
  using A = Accumulator<T>;
  const TransformPlan plan = plan_transform(log2_size, x.shape[1], sizeof(A), std::is_same_v<T, A>);
  if (plan.passes == 0) return false;
  allow_tile(transform_rows<T>);
  std::int64_t distance = 1;
  for (int pass = 0; pass < plan.passes; ++pass) {
    const std::int64_t rows = std::int64_t{1} << plan.bits[pass], groups = x.shape[0] / rows;
    const dim3 grid(static_cast<unsigned>(divide_up(x.shape[1], plan.lanes)), static_cast<unsigned>(std::min<std::int64_t>(65535, groups)));
    transform_rows<T><<<grid, kThreads, static_cast<std::size_t>(rows * plan.lanes) * sizeof(A), native(stream)>>>(
        plane_of<T>(x), x.shape[1], distance, rows, groups, plan.lanes, pass + 1 == plan.passes ? static_cast<A>(scale) : A{1});
    check_launch("hadamard_transform");
    distance *= rows;
  }
  return true;
}

}  // namespace

// Where every row is a sample a panel is read whole before it is written, so in place is safe there too.
void hadamard_transform(double scale, const TensorView& x_NC, Allocator& allocator, Stream stream) {
  check::hadamard_transform(x_NC);
  if (x_NC.numel() == 0) return;
  const DeviceScope scope(x_NC.device.index);
  SampledHadamard every{};
  while ((std::int64_t{1} << every.log2_size) < x_NC.shape[0]) ++every.log2_size;
  if (register_transform(scale, x_NC, every.log2_size, allocator, stream)) return;
  bool done = false;
  with_floating(x_NC.dtype, [&](auto tag) { done = transform_in_place<typename decltype(tag)::type>(scale, x_NC, every.log2_size, stream); });
  if (done) return;
  std::vector<std::int64_t> all(static_cast<std::size_t>(x_NC.shape[0]));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  every.samples = all;
  with_floating(x_NC.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    SampledTransform<T>("hadamard_transform", every, false, 0, x_NC.shape[0], x_NC.shape[1], x_NC.device, allocator, stream).project(scale, x_NC, 0.0, x_NC);
  });
}

}  // namespace panther::cuda
