#include "kernels/cuda/pivoted_qr.h"

#include <cooperative_groups.h>

#include <climits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/pivoted_qr_plan.h"
#include "kernels/cuda/team_sum.cuh"
#include "kernels/linalg/lapack_arguments.h"

namespace panther::cuda {
namespace {

/// What a block offers as the next pivot, and where: two sets, since one is read while the next is written.
template <class T>
struct Offers {
  double* square;  ///< of the column's norm below the finished rows
  int* place;
  T* column;       ///< `rows` long
};

template <class T>
struct Problem {
  T* a;
  std::int64_t leading;
  int rows, columns, steps, per_block;
  T* tau;
  std::int64_t* pivots;
  double* largest;  ///< of each block's columns
  Offers<T> offers;

  __device__ double& square(int step, unsigned block) const { return offers.square[(step & 1) * gridDim.x + block]; }
  __device__ int& place(int step, unsigned block) const { return offers.place[(step & 1) * gridDim.x + block]; }
  __device__ T* column(int step, unsigned block) const { return offers.column + ((step & 1) * static_cast<std::int64_t>(gridDim.x) + block) * rows; }
};

struct Best {
  double square = -2;
  int place = INT_MAX;
  int index = -1;
};

__device__ inline bool better(const Best& a, const Best& b) { return a.square > b.square || (a.square == b.square && a.place < b.place); }

/// Over the lanes of a warp; all of them get it.
__device__ inline Best best_of_warp(Best mine) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const Best other{__shfl_xor_sync(~0u, mine.square, distance), __shfl_xor_sync(~0u, mine.place, distance), __shfl_xor_sync(~0u, mine.index, distance)};
    if (better(other, mine)) mine = other;
  }
  return mine;
}

/// A power of two that brings `largest` into [1, 2); 1 where nothing would be gained.
__device__ inline double scale_for(double largest) {
  if (!(largest > 0) || isinf(largest)) return 1;
  const int exponent = ilogb(largest);
  return ldexp(1.0, -max(-1000, min(1000, exponent)));
}

/// One block's share of the factorization. Columns live in shared memory from the first step to the last.
template <class T>
class Share {
 public:
  __device__ Share(const Problem<T>& p, unsigned char* memory)
      : p_(p), columns_(reinterpret_cast<T*>(memory)), reflector_(columns_ + static_cast<std::int64_t>(p.per_block) * p.rows),
        squares_(reinterpret_cast<double*>(aligned(reflector_ + p.rows))), places_(reinterpret_cast<int*>(squares_ + p.per_block)),
        count_((p.columns - static_cast<int>(blockIdx.x) + static_cast<int>(gridDim.x) - 1) / static_cast<int>(gridDim.x)),
        warp_(static_cast<int>(threadIdx.x) / kWarp), lane_(static_cast<int>(threadIdx.x) % kWarp) {}

  __device__ void run() {
    load();
    cooperative_groups::this_grid().sync();
    scale();
    for (int step = 0; step < p_.steps; ++step) {
      offer(step);
      cooperative_groups::this_grid().sync();
      apply(step);
    }
    store();
  }

 private:
  static __device__ void* aligned(void* pointer) { return reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(pointer) + 7) / 8 * 8); }
  __device__ T* column(int c) const { return columns_ + static_cast<std::int64_t>(c) * p_.rows; }
  __device__ std::int64_t global(int c) const { return blockIdx.x + static_cast<std::int64_t>(c) * gridDim.x; }

  __device__ void load() {
    double largest = 0;
    for (int c = warp_; c < count_; c += kPivotWarps) {
      const T* source = p_.a + global(c) * p_.leading;
      for (int i = lane_; i < p_.rows; i += kWarp) {
        column(c)[i] = source[i];
        largest = fmax(largest, fabs(static_cast<double>(source[i])));
      }
      if (lane_ == 0) places_[c] = static_cast<int>(global(c));
    }
    __shared__ double of_warp[kPivotWarps];
    for (int distance = kWarp / 2; distance > 0; distance /= 2) largest = fmax(largest, __shfl_xor_sync(~0u, largest, distance));
    if (lane_ == 0) of_warp[warp_] = largest;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (int w = 1; w < kPivotWarps; ++w) largest = fmax(largest, of_warp[w]);
    p_.largest[blockIdx.x] = largest;
  }

  __device__ void scale() {
    double largest = 0;
    for (unsigned b = 0; b < gridDim.x; ++b) largest = fmax(largest, __ldcg(p_.largest + b));
    scale_ = scale_for(largest);
    for (int c = warp_; c < count_; c += kPivotWarps) {
      double square = 0;
      for (int i = lane_; i < p_.rows; i += kWarp) {
        const double value = static_cast<double>(column(c)[i]) * scale_;
        column(c)[i] = static_cast<T>(value);
        square += value * value;
      }
      square = join_warp(square, Plus<double>{});
      if (lane_ == 0) squares_[c] = square;
    }
    __syncthreads();
  }

  /// The block's best column that has no place yet.
  __device__ void offer(int step) {
    __shared__ int chosen;
    if (warp_ == 0) {
      Best best;
      for (int c = lane_; c < count_; c += kWarp) {
        if (places_[c] < step) continue;
        const double square = squares_[c];
        const Best candidate{square >= 0 ? square : -1, places_[c], c};
        if (better(candidate, best)) best = candidate;
      }
      best = best_of_warp(best);
      if (lane_ == 0) {
        chosen = best.index;
        p_.square(step, blockIdx.x) = best.square;
        p_.place(step, blockIdx.x) = best.place;
      }
    }
    __syncthreads();
    if (chosen < 0) return;
    T* target = p_.column(step, blockIdx.x);
    for (int i = step + static_cast<int>(threadIdx.x); i < p_.rows; i += kPivotThreads) target[i] = column(chosen)[i];
  }

  __device__ void apply(int step) {
    __shared__ double winner_square;
    __shared__ int winner_place, winner_block;
    if (warp_ == 0) {
      Best best;
      for (int b = lane_; b < static_cast<int>(gridDim.x); b += kWarp) {
        const Best candidate{__ldcg(&p_.square(step, static_cast<unsigned>(b))), __ldcg(&p_.place(step, static_cast<unsigned>(b))), b};
        if (better(candidate, best)) best = candidate;
      }
      best = best_of_warp(best);
      if (lane_ == 0) winner_square = best.square, winner_place = best.place, winner_block = best.index;
    }
    __syncthreads();
    const T* x = p_.column(step, static_cast<unsigned>(winner_block));
    const double alpha = static_cast<double>(__ldcg(x + step)), norm = sqrt(fmax(winner_square, 0.0));
    const bool reflects = norm > 0 && step + 1 < p_.rows;
    const double beta = reflects ? -copysign(norm, alpha) : alpha, tau = reflects ? (beta - alpha) / beta : 0, factor = reflects ? 1 / (alpha - beta) : 0;
    for (int i = step + static_cast<int>(threadIdx.x); i < p_.rows; i += kPivotThreads) {
      reflector_[i] = i == step ? T{1} : static_cast<T>(static_cast<double>(__ldcg(x + i)) * factor);
    }
    // The winner takes place `step`, and what stood there takes the winner's.
    for (int c = static_cast<int>(threadIdx.x); c < count_; c += kPivotThreads) {
      if (places_[c] == winner_place) places_[c] = step;
      else if (places_[c] == step) places_[c] = winner_place;
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) p_.tau[step] = static_cast<T>(tau);
    __syncthreads();
    for (int c = warp_; c < count_; c += kPivotWarps) {
      if (places_[c] > step) reflect(c, step, tau);
      else if (places_[c] == step) finish(c, step, beta);
    }
    __syncthreads();
  }

  __device__ void reflect(int c, int step, double tau) {
    T* y = column(c);
    double dot = 0, square = 0;
    for (int i = step + lane_; i < p_.rows; i += kWarp) dot += static_cast<double>(reflector_[i]) * static_cast<double>(y[i]);
    dot = join_warp(dot, Plus<double>{}) * tau;
    for (int i = step + lane_; i < p_.rows; i += kWarp) {
      const double value = static_cast<double>(y[i]) - dot * static_cast<double>(reflector_[i]);
      y[i] = static_cast<T>(value);
      if (i > step) square += value * value;
    }
    square = join_warp(square, Plus<double>{});
    if (lane_ == 0) squares_[c] = square;
  }

  __device__ void finish(int c, int step, double beta) {
    for (int i = step + lane_; i < p_.rows; i += kWarp) column(c)[i] = i == step ? static_cast<T>(beta) : reflector_[i];
  }

  __device__ void store() {
    const double unscale = 1 / scale_;
    for (int c = warp_; c < count_; c += kPivotWarps) {
      const int place = places_[c];
      T* target = p_.a + place * p_.leading;
      for (int i = lane_; i < p_.rows; i += kWarp) {
        const bool of_r = i <= place || place >= p_.steps;
        target[i] = of_r ? static_cast<T>(static_cast<double>(column(c)[i]) * unscale) : column(c)[i];
      }
      if (lane_ == 0) p_.pivots[place] = global(c);
    }
  }

  const Problem<T>& p_;
  T* columns_;
  T* reflector_;
  double* squares_;
  int* places_;
  int count_, warp_, lane_;
  double scale_ = 1;
};

template <class T>
__global__ void __launch_bounds__(kPivotThreads, 1) pivoted_qr(const __grid_constant__ Problem<T> problem) {
  extern __shared__ __align__(16) unsigned char memory[];
  Share<T>(problem, memory).run();
}

/// Static shared memory of the kernel and what the system keeps for itself.
constexpr std::int64_t kReservedShared = 2048;

template <class T>
bool factor(const TensorView& a, const TensorView& tau, std::span<std::int64_t> pivots, Allocator& allocator, Stream stream) {
  const int device = a.device.index;
  if (device_attribute(cudaDevAttrCooperativeLaunch, device) == 0) return false;
  const auto deal = deal_columns(a.shape[0], a.shape[1], sizeof(T), device_attribute(cudaDevAttrMultiProcessorCount, device),
                                 device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device) - kReservedShared);
  if (!deal) return false;
  const auto rows = static_cast<std::size_t>(a.shape[0]), columns = static_cast<std::size_t>(a.shape[1]), blocks = std::size_t{deal->blocks};
  const std::size_t pivot_bytes = columns * sizeof(std::int64_t), offer_bytes = 2 * blocks * (sizeof(double) + rows * sizeof(T) + sizeof(int));
  const Workspace memory(allocator, pivot_bytes + blocks * sizeof(double) + offer_bytes, a.device, stream);
  Problem<T> problem{a.as<T>(), linalg::leading_dimension(a), static_cast<int>(rows), static_cast<int>(columns), static_cast<int>(tau.shape[0]),
                     static_cast<int>(deal->columns_per_block), tau.as<T>(), static_cast<std::int64_t*>(memory.data()), nullptr, {}};
  problem.largest = reinterpret_cast<double*>(problem.pivots + columns);
  problem.offers.square = problem.largest + blocks;
  problem.offers.column = reinterpret_cast<T*>(problem.offers.square + 2 * blocks);
  problem.offers.place = reinterpret_cast<int*>(problem.offers.column + 2 * blocks * rows);
  const auto shared = deal->shared_bytes + 8;
  check_status(cudaFuncSetAttribute(pivoted_qr<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)), "cudaFuncSetAttribute");
  void* arguments[] = {&problem};
  check_status(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(pivoted_qr<T>), dim3(deal->blocks), dim3(kPivotThreads), arguments, shared, native(stream)),
               "pivoted_qr");
  copy_async(pivots.data(), problem.pivots, pivot_bytes, stream);
  stream_synchronize(stream);
  return true;
}

}  // namespace

bool qr_pivoted_on_device(const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots_N, Allocator& allocator, Stream stream) {
  if (a_MN.numel() == 0 || tau_K.shape[0] == 0) return false;
  const DeviceScope scope(a_MN.device.index);
  return a_MN.dtype == DType::f64 ? factor<double>(a_MN, tau_K, pivots_N, allocator, stream) : factor<float>(a_MN, tau_K, pivots_N, allocator, stream);
}

}  // namespace panther::cuda
