// A block a piece of 4096 elements, one more for the powers of two at the end. Stages go from distance 1 upwards, as on the CPU: the same additions.
#include "kernels/pack/cuda/entries.h"
#include "kernels/pack/cuda/quads.cuh"
#include "kernels/pack/sign_words.h"

namespace panther::cuda {
namespace {

constexpr int kPiece = 4096;
constexpr int kTurns = kPiece / (4 * kThreads);  ///< quads of a thread; a warp's quads of a turn are 128 elements
static_assert(kWarps == 8 && kTurns == 4);

struct Rotation {
  Sum v;
  float* out;
  std::int64_t count;
  std::uint64_t key;
  bool inverse;
  float* alarm;
  bool aligned;
};

__device__ void butterfly(float& a, float& b) {
  const float sum = a + b;
  b = a - b;
  a = sum;
}

__device__ void flip_quad(Quad& quad, std::int64_t first, std::uint64_t key) {
  const std::uint64_t signs = sign_word(key, first / kSignWord);
#pragma unroll
  for (int i = 0; i < 4; ++i) quad.at[i] = flip_by(quad.at[i], signs, static_cast<int>(first % kSignWord) + i);
}

__device__ void finish_quad(const Rotation& a, Quad& quad, std::int64_t first, float factor) {
  if (a.inverse) flip_quad(quad, first, a.key);
#pragma unroll
  for (int i = 0; i < 4; ++i) quad.at[i] *= factor;
  store_quad(a.out, first, a.count, a.aligned, quad);
  raise_alarm(a.alarm, largest_magnitude(quad));
}

/// The bits of an element's place in the piece: 2 within a quad, 5 of the lane, 3 of the warp, 2 of the turn.
__global__ void __launch_bounds__(kThreads) pieces_kernel(Rotation a) {
  __shared__ alignas(16) float x[kPiece];
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kPiece;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  Quad quad[kTurns];
#pragma unroll
  for (int t = 0; t < kTurns; ++t) quad[t] = a.v.quad(begin + 4 * (thread + kThreads * t), a.count);
#pragma unroll
  for (int t = 0; t < kTurns; ++t) {
    if (!a.inverse) flip_quad(quad[t], begin + 4 * (thread + kThreads * t), a.key);
    butterfly(quad[t].at[0], quad[t].at[1]);
    butterfly(quad[t].at[2], quad[t].at[3]);
    butterfly(quad[t].at[0], quad[t].at[2]);
    butterfly(quad[t].at[1], quad[t].at[3]);
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float other = __shfl_xor_sync(~0u, quad[t].at[i], distance);
        quad[t].at[i] = (lane & distance) != 0 ? other - quad[t].at[i] : quad[t].at[i] + other;
      }
    }
    *reinterpret_cast<float4*>(x + 4 * (thread + kThreads * t)) = make_float4(quad[t].at[0], quad[t].at[1], quad[t].at[2], quad[t].at[3]);
  }
  __syncthreads();
  for (int column = thread; column < kPiece / kWarps; column += kThreads) {  // 128 elements of a warp, in each of the turns
    float* top = x + column % 128 + column / 128 * (128 * kWarps);
    float row[kWarps];
#pragma unroll
    for (int w = 0; w < kWarps; ++w) row[w] = top[128 * w];
#pragma unroll
    for (int distance = 1; distance < kWarps; distance *= 2) {
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        if ((w & distance) == 0) butterfly(row[w], row[w + distance]);
      }
    }
#pragma unroll
    for (int w = 0; w < kWarps; ++w) top[128 * w] = row[w];
  }
  __syncthreads();
#pragma unroll
  for (int t = 0; t < kTurns; ++t) {
    const float4 four = *reinterpret_cast<const float4*>(x + 4 * (thread + kThreads * t));
    quad[t] = {{four.x, four.y, four.z, four.w}};
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    butterfly(quad[0].at[i], quad[1].at[i]);
    butterfly(quad[2].at[i], quad[3].at[i]);
    butterfly(quad[0].at[i], quad[2].at[i]);
    butterfly(quad[1].at[i], quad[3].at[i]);
  }
  const float factor = 1 / sqrtf(static_cast<float>(kPiece));
#pragma unroll
  for (int t = 0; t < kTurns; ++t) finish_quad(a, quad[t], begin + 4 * (thread + kThreads * t), factor);
}

/// The powers of two that are left behind the last whole piece.
__global__ void __launch_bounds__(kThreads) tail_kernel(Rotation a, std::int64_t begin) {
  __shared__ float x[kPiece];
  const int count = static_cast<int>(a.count - begin), thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < count; i += kThreads) {
    float value = a.v.gradient[begin + i];
    if (a.v.residual != nullptr) value += a.v.residual[begin + i];
    x[i] = a.inverse ? value : flip_sign(value, a.key, begin + i);
  }
  __syncthreads();
  int first = 0;
  for (int piece = kPiece / 2; piece > 0; piece /= 2) {
    if ((count & piece) == 0) continue;
    for (int distance = 1; distance < piece; distance *= 2) {
      for (int pair = thread; pair < piece / 2; pair += kThreads) {
        const int low = first + pair / distance * 2 * distance + pair % distance;
        butterfly(x[low], x[low + distance]);
      }
      __syncthreads();
    }
    const float factor = 1 / sqrtf(static_cast<float>(piece));
    for (int i = first + thread; i < first + piece; i += kThreads) {
      const std::int64_t at = begin + i;
      const float value = factor * (a.inverse ? flip_sign(x[i], a.key, at) : x[i]);
      a.out[at] = value;
      raise_alarm(a.alarm, bits_of(value) & kMagnitudeBits);
    }
    first += piece;
  }
}

}  // namespace

void rotate(const RotateArguments& a, Stream stream) {
  const Rotation rotation{{a.in, a.residual}, a.out, a.count, mix64(a.key, a.step), a.inverse, a.alarm, aligned16(a.out)};
  const std::int64_t pieces = a.count / kPiece;
  if (pieces > 0) {
    pieces_kernel<<<static_cast<unsigned>(pieces), kThreads, 0, native(stream)>>>(rotation);
    check_launch("rotate");
  }
  if (a.count > pieces * kPiece) {
    tail_kernel<<<1, kThreads, 0, native(stream)>>>(rotation, pieces * kPiece);
    check_launch("rotate");
  }
}

}  // namespace panther::cuda
