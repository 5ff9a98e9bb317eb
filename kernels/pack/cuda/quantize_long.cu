// Blocks of elements too long for the registers of a thread block: those that fit its shared memory are read once, longer ones again, from the nearest cache
// that has them.
#include "kernels/pack/cuda/quantize_block.cuh"

namespace panther::cuda {
namespace {

constexpr int kLongTeam = 1024;
constexpr int kHeldQuads = 2;        ///< of a block in shared memory that a thread keeps in registers instead
constexpr int kLoadedQuads = 4;      ///< on their way at a time

/// What a long block says. Sums of magnitudes and squares are in f64, which needs no normaliser and so no sweep of its own for the largest.
struct Moments {
  std::uint32_t largest = 0;
  double sum = 0;
  __device__ void add(const Quad& quad, bool squares) {
    largest = max(largest, largest_magnitude(quad));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const double value = static_cast<double>(quad.at[i]);
      sum += squares ? value * value : fabs(value);
    }
  }
};

/// `each(body)` calls body(quad) for all quads of this thread.
template <class Each>
__device__ Coding choose_long(const QuantizeTask& task, std::int64_t count, Moments moments, const Each& each) {
  if (moments.largest >= kInfinityBits) return nonfinite_coding();
  if (moments.largest == 0) return {};
  float no_clip;
  const Coding simple = coding_of_largest(task, moments.largest, &no_clip);
  if (task.stochastic) return simple;
  const double mean = moments.sum / static_cast<double>(count), normaliser = static_cast<double>(simple.normaliser);
  if (task.bits == 1) return scaled_coding(simple.normaliser, task.limit, 1, static_cast<float>(mean * normaliser));
  const float normal = task.normal * static_cast<float>(sqrt(mean) * normaliser);
  const float inverse_whole = 1.0f / no_clip, inverse_clipped = 1.0f / fminf(normal, no_clip);
  Fits fits{};
  each([&](const Quad& quad) { fits.add(quad, simple.normaliser, inverse_whole, inverse_clipped, task.limit); });
  fits.join<kLongTeam>();
  return better_coding(simple.normaliser, task.limit, no_clip, fits.whole, normal, fits.clipped);
}

/// A block of elements that fits shared memory and a few registers: memory is read once.
__global__ void __launch_bounds__(kLongTeam) stored_kernel(QuantizeTask task) {
  extern __shared__ float4 stored[];
  clear_padding(task);
  const int place = static_cast<int>(threadIdx.x);
  for (std::int64_t index = blockIdx.x; index < task.blocks; index += gridDim.x) {
    const Piece piece = piece_of(task, index);
    const Sum v = task.v.from(piece.first);
    const int turns = static_cast<int>((piece.count + 4 * kLongTeam - 1) / (4 * kLongTeam));
    Quad held[kHeldQuads];
    Moments moments;
    for (int first = kHeldQuads; first < turns; first += kLoadedQuads) {
      Quad loaded[kLoadedQuads];
      load_quads(v, 4 * (place + first * kLongTeam), 4 * kLongTeam, piece.count, loaded);
#pragma unroll
      for (int t = 0; t < kLoadedQuads; ++t) {
        moments.add(loaded[t], task.bits > 1);
        if (first + t < turns) stored[place + (first + t - kHeldQuads) * kLongTeam] = make_float4(loaded[t].at[0], loaded[t].at[1], loaded[t].at[2], loaded[t].at[3]);
      }
    }
#pragma unroll
    for (int t = 0; t < kHeldQuads; ++t) {
      held[t] = v.quad(4 * (place + t * kLongTeam), piece.count);
      moments.add(held[t], task.bits > 1);
    }
    moments.largest = join_team<kLongTeam>(moments.largest, Larger<std::uint32_t>());
    moments.sum = join_team<kLongTeam>(moments.sum, Plus<double>());
    const auto from_shared = [&](int t) {
      const float4 four = stored[place + (t - kHeldQuads) * kLongTeam];
      return Quad{{four.x, four.y, four.z, four.w}};
    };
    const Coding coding = choose_long(task, piece.count, moments, [&](const auto& body) {
#pragma unroll
      for (int t = 0; t < kHeldQuads; ++t) body(held[t]);
      for (int t = kHeldQuads; t < turns; ++t) body(from_shared(t));
    });
    if (place == 0) reinterpret_cast<float*>(task.packed)[index] = coding.scale;
    const bool finite = moments.largest < kInfinityBits;
#pragma unroll
    for (int t = 0; t < kHeldQuads; ++t) code_quad(task, piece, place + t * kLongTeam, held[t], coding, finite);
#pragma unroll 2
    for (int t = kHeldQuads; t < turns; ++t) code_quad(task, piece, place + t * kLongTeam, from_shared(t), coding, finite);
  }
}

/// Blocks that nothing can hold.
__global__ void __launch_bounds__(kLongTeam) long_kernel(QuantizeTask task) {
  clear_padding(task);
  const int place = static_cast<int>(threadIdx.x);
  for (std::int64_t index = blockIdx.x; index < task.blocks; index += gridDim.x) {
    const Piece piece = piece_of(task, index);
    const Sum v = task.v.from(piece.first);
    const std::int64_t quads = (piece.count + 3) / 4, turns = (quads + kLongTeam - 1) / kLongTeam;
    const auto each = [&](const auto& body) {
#pragma unroll 4
      for (std::int64_t q = place; q < quads; q += kLongTeam) body(v.quad(4 * q, piece.count));
    };
    Moments moments;
    each([&](const Quad& quad) { moments.add(quad, task.bits > 1); });
    moments.largest = join_team<kLongTeam>(moments.largest, Larger<std::uint32_t>());
    moments.sum = join_team<kLongTeam>(moments.sum, Plus<double>());
    const Coding coding = choose_long(task, piece.count, moments, each);
    if (place == 0) reinterpret_cast<float*>(task.packed)[index] = coding.scale;
#pragma unroll 2
    for (std::int64_t t = 0; t < turns; ++t) {
      const std::int64_t q = place + t * kLongTeam;
      code_quad(task, piece, q, v.quad(4 * q, piece.count), coding, moments.largest < kInfinityBits);
    }
  }
}

/// Whether a block of elements can be stored in shared memory on the current device, and its bytes.
bool can_store(std::int64_t block, std::size_t* bytes) {
  *bytes = static_cast<std::size_t>(divide_up(block, 4 * kLongTeam) - kHeldQuads) * kLongTeam * sizeof(float4);
  int device = 0, most = 0;
  check_status(cudaGetDevice(&device), "cudaGetDevice");
  check_status(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "cudaDeviceGetAttribute");
  constexpr std::size_t kOwn = 1024;  // what the kernel has beside it
  return *bytes + kOwn <= static_cast<std::size_t>(most);
}

}  // namespace

void quantize_long(const QuantizeTask& task, unsigned blocks, cudaStream_t stream) {
  std::size_t bytes = 0;
  if (can_store(task.block, &bytes)) {
    check_status(cudaFuncSetAttribute(stored_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)), "cudaFuncSetAttribute");
    stored_kernel<<<blocks, kLongTeam, bytes, stream>>>(task);
  } else {
    long_kernel<<<blocks, kLongTeam, 0, stream>>>(task);
  }
}

}  // namespace panther::cuda
