#include "kernels/cuda/hopper/narrow_product.h"

#include "kernels/check_arguments.h"
#include "kernels/cuda/add_splits.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/hopper/bulk_copy.cuh"
#include "kernels/cuda/hopper/narrow_product_plan.h"
#include "kernels/cuda/hopper/tensor_map.h"
#include "kernels/cuda/hopper/tf32_products.cuh"
#include "kernels/cuda/hopper/warpgroup.cuh"

namespace panther::cuda {
namespace {

constexpr int kLine = 128;  ///< bytes
constexpr int kStageA = kNarrowRows * kLine;
constexpr int kStepsPerSegment = kNarrowSegment / kNarrowDepth;

struct Problem {
  CUtensorMap a;
  CUtensorMap b;  ///< large parts of all columns, then small ones, depth near in the order of slots
  std::int64_t rows, columns, depth, depth_per_split;
  std::int32_t small_parts;  ///< first line of the small ones
  float* sums;               ///< splits x columns x rows
};

template <int columns>
struct Stages {
  struct Stage {
    unsigned char a[kStageA], b[2][columns * kLine];
  };
  Stage data[kNarrowStages];  ///< aligned to 1024
  CopyRing<kNarrowStages> ring;
};

/// A warpgroup's 64 rows by `columns` columns of the result.
template <int columns, bool depth_near>
class Worker {
 public:
  __device__ Worker(const Problem& p, Stages<columns>& stages)
      : p_(p), stages_(stages), lane_(static_cast<int>(threadIdx.x) % kWarp), warp_(static_cast<int>(threadIdx.x) / kWarp % 4), group_(static_cast<int>(threadIdx.x) / 128),
        first_row_(static_cast<std::int64_t>(blockIdx.x) * kNarrowRows), first_column_(static_cast<std::int32_t>(blockIdx.y) * columns),
        begin_(blockIdx.z * p.depth_per_split), end_(begin_ + p.depth_per_split < p.depth ? begin_ + p.depth_per_split : p.depth),
        steps_(static_cast<int>((end_ - begin_ + kNarrowDepth - 1) / kNarrowDepth)) {}

  __device__ void run() {
    start();
    for (int first = 0; first < steps_; first += kStepsPerSegment) {
      const int last = min(first + kStepsPerSegment, steps_) - 1;
      for (int step = first; step <= last; ++step) {
        const auto& stage = stages_.data[step % kNarrowStages];
        stages_.ring.wait_full(step);
        load(stage.a, 0, even_);
        multiply(stage, 0, even_);
        if (step > first) release(step - 1);
        load(stage.a, 1, odd_);
        multiply(stage, 1, odd_);
        refill(step);
      }
      promote();
      release(last);
    }
    store();
  }

 private:
  static constexpr int kSums = columns / 2;
  using Fragment = Tf32Pair[2][4];  ///< of two products of 8 elements

  __device__ void start() {
    if (threadIdx.x == 0) stages_.ring.init(kNarrowThreads / kWarp);
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int step = 0; step < kNarrowStages && step < steps_; ++step) fetch(step);
    }
    __syncwarp();
  }

  /// Of one thread.
  __device__ void fetch(int step) {
    auto& stage = stages_.data[step % kNarrowStages];
    CopyBarrier& full = stages_.ring.full_at(step);
    const auto depth = static_cast<std::int32_t>(begin_ + static_cast<std::int64_t>(step) * kNarrowDepth), row = static_cast<std::int32_t>(first_row_);
    full.expect(sizeof stage);
    if (depth_near) {
      copy_tile(stage.a, p_.a, depth, row, full);
    } else {
      for (int i = 0; i < kNarrowRows / 32; ++i) copy_tile(stage.a + i * 32 * kLine, p_.a, row + 32 * i, depth, full);
    }
    copy_tile(stage.b[0], p_.b, depth, first_column_, full);
    copy_tile(stage.b[1], p_.b, depth, p_.small_parts + first_column_, full);
  }

  /// Half h of a stage: what this thread's fragments hold of two products. With the depth near, rows g and g + 8 of a warp's 16; else rows 2 g and 2 g + 1.
  __device__ void load(const unsigned char* a, int h, Fragment& fragment) {
    const int g = lane_ / 4, t = lane_ % 4;
    if (depth_near) {
      const int at = ((2 * t + h) ^ g) * 16;
      const unsigned char* line = a + (64 * group_ + 16 * warp_ + g) * kLine + at;
      const float4 low = *reinterpret_cast<const float4*>(line), high = *reinterpret_cast<const float4*>(line + 8 * kLine);
      set(fragment[0], low.x, high.x, low.y, high.y);
      set(fragment[1], low.z, high.z, low.w, high.w);
    } else {
      const unsigned char* box = a + (2 * group_ + warp_ / 2) * 32 * kLine + g % 2 * 8;
      const int unit = 4 * (warp_ % 2) + g / 2;
#pragma unroll
      for (int s = 0; s < 2; ++s) {
        const int line = 16 * h + 8 * s + 2 * t;
        const float2 first = *reinterpret_cast<const float2*>(box + line * kLine + (unit ^ (line % 8)) * 16);
        const float2 second = *reinterpret_cast<const float2*>(box + (line + 1) * kLine + (unit ^ (line % 8 + 1)) * 16);
        set(fragment[s], first.x, first.y, second.x, second.y);
      }
    }
#pragma unroll
    for (int s = 0; s < 2; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) make_now(fragment[s][i].large), make_now(fragment[s][i].small);
    }
  }
  static __device__ void set(Tf32Pair (&f)[4], float a0, float a1, float a2, float a3) {
    f[0] = split_tf32(a0), f[1] = split_tf32(a1), f[2] = split_tf32(a2), f[3] = split_tf32(a3);
  }

  /// Leaves at most this half's products in flight.
  __device__ void multiply(const typename Stages<columns>::Stage& stage, int h, Fragment& f) {
    pin(part_);
    fence_products();
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      const std::uint32_t large[4] = {f[s][0].large, f[s][1].large, f[s][2].large, f[s][3].large};
      const std::uint32_t small[4] = {f[s][0].small, f[s][1].small, f[s][2].small, f[s][3].small};
      const int at = 64 * h + 32 * s;
      const std::uint64_t b_large = swizzled_descriptor(stage.b[0] + at, 16, 1024), b_small = swizzled_descriptor(stage.b[1] + at, 16, 1024);
      multiply_tf32(part_, small, b_large);
      multiply_tf32(part_, large, b_small);
      multiply_tf32(part_, large, b_large);
    }
    commit_products();
    wait_for_products<1>();
  }

  /// This warp has read the stage of `step`.
  __device__ void release(int step) {
    if (lane_ == 0) stages_.ring.release(step);
    __syncwarp();
  }

  /// What stood two steps before `step` has been read by all, or soon is.
  __device__ void refill(int step) {
    if (threadIdx.x == 0 && step >= 2 && step - 2 + kNarrowStages < steps_) {
      stages_.ring.wait_empty(step - 2);
      fetch(step - 2 + kNarrowStages);
    }
    __syncwarp();
  }

  /// The end of a segment: sums in flight are added up here, where additions round to nearest.
  __device__ void promote() {
    wait_for_products<0>();
    pin(part_);
#pragma unroll
    for (int i = 0; i < kSums; ++i) sum_[i] += part_[i], part_[i] = 0;
  }

  __device__ void store() const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int in_warp = depth_near ? lane_ / 4 + 8 * half : 2 * (lane_ / 4) + half;
      const std::int64_t row = first_row_ + 64 * group_ + 16 * warp_ + in_warp;
      if (row >= p_.rows) continue;
#pragma unroll
      for (int j = 0; j < columns / 8; ++j) {
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          const std::int64_t column = first_column_ + 8 * j + 2 * (lane_ % 4) + k;
          if (column < p_.columns) p_.sums[(static_cast<std::int64_t>(blockIdx.z) * p_.columns + column) * p_.rows + row] = sum_[4 * j + 2 * half + k];
        }
      }
    }
  }

  const Problem& p_;
  Stages<columns>& stages_;
  int lane_, warp_, group_;
  std::int64_t first_row_;
  std::int32_t first_column_;
  std::int64_t begin_, end_;
  int steps_;
  Fragment even_, odd_;
  float part_[kSums] = {}, sum_[kSums] = {};
};

template <int columns, bool depth_near>
__global__ void __launch_bounds__(kNarrowThreads, 1) narrow_product_kernel(const __grid_constant__ Problem problem) {
  extern __shared__ __align__(1024) unsigned char memory[];
  Worker<columns, depth_near>(problem, *reinterpret_cast<Stages<columns>*>(memory)).run();
}

/// The two parts of b's columns with their depth in the order of slots; zeros beyond its ends. `lines` of each part, `pitch` floats long.
__global__ void split_columns(const float* b, std::int64_t depth_stride, std::int64_t column_stride, std::int64_t depth, std::int64_t columns, std::int64_t lines,
                              std::int64_t pitch, bool depth_near, float* parts) {
  const std::int64_t cells = lines * pitch;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < cells; i += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    const std::int64_t column = i / pitch, slot = i % pitch;
    const std::int64_t element = slot / kNarrowDepth * kNarrowDepth + narrow_element_of_slot(static_cast<int>(slot % kNarrowDepth), depth_near);
    const Tf32Pair pair = split_tf32(column < columns && element < depth ? b[element * depth_stride + column * column_stride] : 0.0f);
    parts[i] = __uint_as_float(pair.large);
    parts[cells + i] = __uint_as_float(nearest_tf32(__uint_as_float(pair.small)));
  }
}

template <int columns, bool depth_near>
void launch(const Problem& problem, const NarrowPlan& plan, Stream stream) {
  check_status(cudaFuncSetAttribute(narrow_product_kernel<columns, depth_near>, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Stages<columns>)), "cudaFuncSetAttribute");
  narrow_product_kernel<columns, depth_near>
      <<<dim3(plan.row_tiles, plan.column_tiles, plan.splits), kNarrowThreads, sizeof(Stages<columns>), native(stream)>>>(problem);
  check_launch("narrow_product");
}

template <int columns>
void launch_either(bool depth_near, const Problem& problem, const NarrowPlan& plan, Stream stream) {
  depth_near ? launch<columns, true>(problem, plan, stream) : launch<columns, false>(problem, plan, stream);
}

CUtensorMap map_of(const TensorView& a_MK, bool depth_near) {
  const std::int64_t rows = a_MK.shape[0], depth = a_MK.shape[1];
  if (depth_near) return make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, a_MK.data, {{depth, 4, kNarrowDepth}, {rows, 4 * a_MK.strides[0], kNarrowRows}});
  return make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, a_MK.data, {{rows, 4, 32}, {depth, 4 * a_MK.strides[1], kNarrowDepth}});
}

}  // namespace

bool narrow_product(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, Allocator& allocator, Stream stream) {
  check::gemm(a_MK, b_KN, c_MN, {});
  const std::int64_t rows = a_MK.shape[0], depth = a_MK.shape[1], columns = b_KN.shape[1];
  const bool depth_near = a_MK.strides[1] == 1, rows_near = a_MK.strides[0] == 1;
  if (a_MK.dtype != DType::f32 || (!depth_near && !rows_near) || !aligned16(a_MK.data) || a_MK.strides[depth_near ? 0 : 1] % 4 != 0) return false;
  if (std::max(rows, depth) >= (std::int64_t{1} << 31)) return false;
  const NarrowPlan plan = plan_narrow_product(rows, columns, depth, hopper_multiprocessors(a_MK.device.index));
  if (plan.columns == 0) return false;
  const DeviceScope scope(a_MK.device.index);
  const std::int64_t lines = std::int64_t{plan.column_tiles} * plan.columns, pitch = divide_up(depth, kNarrowDepth) * kNarrowDepth;
  const Workspace parts(allocator, static_cast<std::size_t>(2 * lines * pitch) * sizeof(float), a_MK.device, stream);
  const Workspace sums(allocator, static_cast<std::size_t>(plan.splits * rows * columns) * sizeof(float), a_MK.device, stream);
  auto* split = static_cast<float*>(parts.data());
  split_columns<<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(lines * pitch, kThreads))), kThreads, 0, native(stream)>>>(
      b_KN.as<const float>(), b_KN.strides[0], b_KN.strides[1], depth, columns, lines, pitch, depth_near, split);
  check_launch("narrow_product split");
  const CUtensorMap b = make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, split, {{pitch, 4, kNarrowDepth}, {2 * lines, 4 * pitch, static_cast<std::uint32_t>(plan.columns)}});
  const Problem problem{map_of(a_MK, depth_near), b, rows, columns, depth, plan.depth_per_split, static_cast<std::int32_t>(lines), static_cast<float*>(sums.data())};
  plan.columns == 80 ? launch_either<80>(depth_near, problem, plan, stream) : launch_either<144>(depth_near, problem, plan, stream);
  add_splits<float, float><<<static_cast<unsigned>(std::min(kMaxBlocks, divide_up(rows * columns, kThreads))), kThreads, 0, native(stream)>>>(
      problem.sums, static_cast<int>(plan.splits), columns, rows, static_cast<float>(alpha), static_cast<float>(beta), c_MN.as<float>(), c_MN.strides[1], c_MN.strides[0]);
  check_launch("narrow_product add_splits");
  return true;
}

}  // namespace panther::cuda
