#include "kernels/cuda/hopper/sign_mma.h"

#include "kernels/cuda/add_splits.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/hopper/bulk_copy.cuh"
#include "kernels/cuda/hopper/sign_mma_plan.h"
#include "kernels/cuda/hopper/tensor_map.h"
#include "kernels/cuda/hopper/warpgroup.cuh"

namespace panther::cuda {
namespace {

struct Problem {
  SignKey key;
  std::uint32_t first_vector, first_block;  ///< of Philox: 128 elements each
  CUtensorMap x;
  std::int64_t vectors, columns, elements, elements_per_split;
  float* sums;  ///< splits x vectors x columns
};

/// Bits that make 1 or -1 of a sign bit shifted to the top of its half word.
template <class T>
constexpr std::uint32_t kOnes = 0x3F803F80u;
template <>
constexpr std::uint32_t kOnes<F16> = 0x3C003C00u;

/// How a word of 32 signs meets the depth of two products. wgmma's fragment wants, in one register, the signs of two neighbours in depth at bits 15 and 31.
/// Since a sum may run in any order, elements p and p + 16 can be those neighbours: one shift serves both. That takes data whose depth can be permuted as it is
/// copied, element p + 16 q to line 2 p + q of its 32; data with its elements near each other keeps their order.
template <bool permuted>
struct SignOrder {
  /// Of a word, once: what all fragments of a lane share. A lane takes depths 2 t, 2 t + 1 and those plus 8, t = lane % 4.
  static __device__ std::uint32_t aligned(std::uint32_t word, int lane) { return permuted ? word << (3 - lane % 4) : word >> (2 * (lane % 4)); }
  /// The pair of product `step` (0 or 1), the first or (half = 1) second eight depths.
  template <class T>
  static __device__ std::uint32_t pair(std::uint32_t aligned, int step, int half) {
    if (permuted) return ((aligned << (12 - 8 * step - 4 * half)) & 0x80008000u) | kOnes<T>;
    const std::uint32_t bits = aligned >> (16 * step + 8 * half);
    return ((bits << 15) & 0x8000u) | ((bits << 30) & 0x80000000u) | kOnes<T>;
  }
};

/// Signs of one 128-element block for the rows of a warp's fragments: 16 rows of each of two 64-row tiles. Lane l makes row l's; every lane keeps the
/// words of the rows that it multiplies: g, g + 8, g + 16, g + 24 with g = lane / 4.
template <bool permuted>
struct RowSigns {
  std::uint32_t word[4][4];

  __device__ void make(const Problem& p, std::uint32_t row_of_lane, std::uint32_t block, int lane) {
    const PhiloxBlock bits = sign_block(p.key, p.first_vector + row_of_lane, block);
#pragma unroll
    for (int row = 0; row < 4; ++row) {
#pragma unroll
      for (int w = 0; w < 4; ++w) word[row][w] = SignOrder<permuted>::aligned(__shfl_sync(~0u, bits.word[w], lane / 4 + 8 * row), lane);
    }
  }
};

struct Stages {
  unsigned char data[kSignStages][kSignStageBytes];  ///< aligned to 1024
  CopyRing<kSignStages> ring;
};

/// A warpgroup's 128 rows by kSignColumns columns: two accumulators of 64 rows.
template <class T, bool columns_near>
class Worker {
 public:
  __device__ Worker(const Problem& p, Stages& stages)
      : p_(p), stages_(stages), lane_(static_cast<int>(threadIdx.x) % kWarp), warp_(static_cast<int>(threadIdx.x) / kWarp % 4),
        group_(static_cast<int>(threadIdx.x) / kWarpgroup), first_row_(static_cast<std::int64_t>(blockIdx.y) * kSignRows + group_ * 128),
        first_column_(static_cast<std::int64_t>(blockIdx.x) * kSignColumns), begin_(blockIdx.z * p.elements_per_split),
        end_(begin_ + p.elements_per_split < p.elements ? begin_ + p.elements_per_split : p.elements) {}

  __device__ void run() {
    const int blocks = static_cast<int>((end_ - begin_ + 127) / 128);
    steps_ = 2 * blocks;
    start();
    const std::uint32_t row_of_lane = static_cast<std::uint32_t>(first_row_ + 64 * (lane_ / 16) + 16 * warp_ + lane_ % 16);
    const std::uint32_t first_block = p_.first_block + static_cast<std::uint32_t>(begin_ / 128);
    signs_.make(p_, row_of_lane, first_block, lane_);
    fill(a_even_, 0);
    for (int block = 0; block < blocks; ++block) {
      multiply_stage(2 * block, a_even_);
      fill(a_odd_, 2);
      multiply_stage(2 * block + 1, a_odd_);
      signs_.make(p_, row_of_lane, first_block + static_cast<std::uint32_t>(block) + 1, lane_);
      fill(a_even_, 0);
    }
    wait_for_products<0>();
    pin(acc_[0]);
    pin(acc_[1]);
    store();
  }

 private:
  static constexpr int kDepths = kSignDepth / 16;

  /// Signs of words `first_word` and the next: 64 elements, four fragments for each of the two tiles. Made here, while products are in flight, and not
  /// where the next ones read them.
  __device__ void fill(std::uint32_t (&a)[2][kDepths][4], int first_word) {
#pragma unroll
    for (int tile = 0; tile < 2; ++tile) {
#pragma unroll
      for (int k = 0; k < kDepths; ++k) {
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          a[tile][k][part] = SignOrder<columns_near>::template pair<T>(signs_.word[2 * tile + part % 2][first_word + k / 2], k % 2, part / 2);
          make_now(a[tile][k][part]);
        }
      }
    }
  }

  __device__ void start() {
    if (threadIdx.x == 0) stages_.ring.init(kSignThreads / kWarp);
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int step = 0; step < kSignStages && step < steps_; ++step) fetch(step);
    }
    __syncwarp();
  }

  /// Leaves at most this step's products in flight; the stage of the step before is free then, and that of two steps before is filled again.
  __device__ void multiply_stage(int step, std::uint32_t (&a)[2][kDepths][4]) {
    stages_.ring.wait_full(step);
    const unsigned char* stage = stages_.data[step % kSignStages];
    pin(acc_[0]);
    pin(acc_[1]);
    fence_products();
#pragma unroll
    for (int k = 0; k < kDepths; ++k) {
      const std::uint64_t b = columns_near ? swizzled_descriptor(stage + k * 16 * 128, kSignDepth * 128, 1024) : swizzled_descriptor(stage + k * 32, 16, 1024);
#pragma unroll
      for (int tile = 0; tile < 2; ++tile) multiply<T, columns_near>(acc_[tile], a[tile][k], b);
    }
    commit_products();
    wait_for_products<1>();
    if (step >= 1 && lane_ == 0) stages_.ring.release(step - 1);
    if (step >= 2 && step - 2 + kSignStages < steps_ && threadIdx.x == 0) {
      stages_.ring.wait_empty(step - 2);
      fetch(step - 2 + kSignStages);
    }
    __syncwarp();
  }

  /// One stage of x: kSignDepth elements by kSignColumns columns, 128 bytes a line. By one thread.
  __device__ void fetch(int step) {
    CopyBarrier& full = stages_.ring.full_at(step);
    unsigned char* stage = stages_.data[step % kSignStages];
    const auto element = static_cast<std::int32_t>(begin_ + static_cast<std::int64_t>(step) * kSignDepth), column = static_cast<std::int32_t>(first_column_);
    full.expect(kSignStageBytes);
    if (columns_near) {
      for (int half = 0; half < 2; ++half) copy_tile(stage + half * kSignStageBytes / 2, p_.x, column + 64 * half, 0, 0, element / 32, full);
    } else {
      copy_tile(stage, p_.x, element, column, full);
    }
  }

  __device__ void store() const {
#pragma unroll
    for (int tile = 0; tile < 2; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const std::int64_t row = first_row_ + 64 * tile + 16 * warp_ + lane_ / 4 + 8 * half;
        if (row >= p_.vectors) continue;
        float* out = p_.sums + (static_cast<std::int64_t>(blockIdx.z) * p_.vectors + row) * p_.columns;
#pragma unroll
        for (int j = 0; j < kSignColumns / 8; ++j) {
          const std::int64_t column = first_column_ + 8 * j + 2 * (lane_ % 4);
          if (column < p_.columns) *reinterpret_cast<float2*>(out + column) = make_float2(acc_[tile][4 * j + 2 * half], acc_[tile][4 * j + 2 * half + 1]);
        }
      }
    }
  }

  const Problem& p_;
  Stages& stages_;
  int lane_, warp_, group_, steps_ = 0;
  std::int64_t first_row_, first_column_, begin_, end_;
  RowSigns<columns_near> signs_;
  std::uint32_t a_even_[2][kDepths][4], a_odd_[2][kDepths][4];
  float acc_[2][64] = {};
};

template <class T, bool columns_near>
__global__ void __launch_bounds__(kSignThreads, 1) sign_mma(const __grid_constant__ Problem problem) {
  extern __shared__ __align__(1024) unsigned char memory[];
  Worker<T, columns_near>(problem, *reinterpret_cast<Stages*>(memory)).run();
}

template <class T, bool columns_near>
void launch(const Problem& problem, const SignMmaPlan& plan, Stream stream) {
  check_status(cudaFuncSetAttribute(sign_mma<T, columns_near>, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Stages)), "cudaFuncSetAttribute");
  sign_mma<T, columns_near><<<dim3(plan.column_tiles, plan.row_tiles, plan.splits), kSignThreads, sizeof(Stages), native(stream)>>>(problem);
  check_launch("sign_mma");
}

template <class T>
void run(const Problem& problem, const SignMmaPlan& plan, bool columns_near, float alpha, float beta, const TensorView& out_BV, Stream stream) {
  columns_near ? launch<T, true>(problem, plan, stream) : launch<T, false>(problem, plan, stream);
  const auto blocks = static_cast<unsigned>(std::min(kMaxBlocks, divide_up(problem.vectors * problem.columns, kThreads)));
  add_splits<float, T><<<blocks, kThreads, 0, native(stream)>>>(problem.sums, static_cast<int>(plan.splits), problem.vectors, problem.columns, alpha, beta, out_BV.as<T>(),
                                                         out_BV.strides[1], out_BV.strides[0]);
  check_launch("sign_mma add_splits");
}

/// With its columns near each other, elements p and p + 16 of every 32 become neighbours: SignOrder.
CUtensorMap map_of(const TensorView& x_BE, bool columns_near) {
  const CUtensorMapDataType type = x_BE.dtype == DType::bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  const std::int64_t columns = x_BE.shape[0], elements = x_BE.shape[1], row = 2 * (columns_near ? x_BE.strides[1] : x_BE.strides[0]);
  if (columns_near) return make_tensor_map(type, x_BE.data, {{columns, 2, 64}, {2, 16 * row, 2}, {16, row, 16}, {elements / 32, 32 * row, kSignDepth / 32}});
  return make_tensor_map(type, x_BE.data, {{elements, 2, kSignDepth}, {columns, row, kSignColumns}});
}

}  // namespace

bool project_by_sign_mma(const DenseSketch& sketch, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Allocator& allocator, Stream stream) {
  const std::int64_t vectors = out_BV.shape[1], columns = x_BE.shape[0], elements = x_BE.shape[1];
  const bool two_bytes = x_BE.dtype == DType::bf16 || x_BE.dtype == DType::f16;
  const bool columns_near = x_BE.strides[0] == 1, elements_near = x_BE.strides[1] == 1;
  if (!two_bytes || sketch.distribution != DenseDistribution::signs || sketch.first_element % 128 != 0 || (!columns_near && !elements_near)) return false;
  const std::int64_t stride = columns_near ? x_BE.strides[1] : x_BE.strides[0];
  // What the copy engine takes, and sums that are written two at a time.
  if (!aligned16(x_BE.data) || stride % 8 != 0 || (columns_near && elements % 32 != 0) || columns % 2 != 0 || elements >= (std::int64_t{1} << 31)) return false;
  const SignMmaPlan plan = plan_sign_mma(vectors, columns, elements, hopper_multiprocessors(x_BE.device.index));
  if (plan.splits == 0) return false;
  const DeviceScope scope(x_BE.device.index);
  const Workspace sums(allocator, static_cast<std::size_t>(plan.splits) * static_cast<std::size_t>(vectors * columns) * sizeof(float), x_BE.device, stream);
  const Problem problem{sketch.key, static_cast<std::uint32_t>(sketch.first_vector), static_cast<std::uint32_t>(sketch.first_element / 128), map_of(x_BE, columns_near), vectors, columns,
                        elements, plan.elements_per_split, static_cast<float*>(sums.data())};
  const auto a = static_cast<float>(alpha), b = static_cast<float>(beta);
  x_BE.dtype == DType::bf16 ? run<Bf16>(problem, plan, columns_near, a, b, out_BV, stream) : run<F16>(problem, plan, columns_near, a, b, out_BV, stream);
  return true;
}

}  // namespace panther::cuda
