#include <algorithm>
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/cpu/walsh_hadamard.h"
#include "kernels/element/half.h"
#include "kernels/pack/alarm.h"
#include "kernels/pack/pack_kernels.h"
#include "kernels/pack/sign_words.h"

namespace panther::cpu {
namespace {

/// A piece fits the first-level cache.
constexpr std::int64_t kPiece = kLeafBytes / static_cast<std::int64_t>(sizeof(float));

PANTHER_VECTORISED void flip(float* x, std::int64_t count, std::int64_t first_word, std::uint64_t key) {
  for (std::int64_t begin = 0; begin < count; begin += kSignWord) {
    flip_signs(x + begin, x + begin, std::min(kSignWord, count - begin), sign_word(key, first_word + begin / kSignWord));
  }
}

PANTHER_VECTORISED void add(const float* in, const float* residual, float* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = residual == nullptr ? in[i] : in[i] + residual[i];
}

PANTHER_VECTORISED std::uint32_t scale(const float* in, float factor, float* out, std::int64_t count) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = factor * in[i];
    largest = std::max(largest, bits_of(out[i]) & kMagnitudeBits);
  }
  return largest;
}

}  // namespace

void rotate(const RotateArguments& a, Stream) {
  const std::uint64_t key = mix64(a.key, a.step);
  constexpr std::int64_t kSegments = 64;
  const std::int64_t pieces = (a.count + kPiece - 1) / kPiece, per_task = (pieces + kSegments - 1) / kSegments;
  std::uint32_t largest[kSegments] = {};
  parallel_for((pieces + per_task - 1) / per_task, 16 * a.count, [&](std::int64_t task) {
    alignas(64) float x[kPiece];
    const std::int64_t end = std::min(a.count, (task + 1) * per_task * kPiece);
    for (std::int64_t begin = task * per_task * kPiece; begin < end;) {
      std::int64_t count = kPiece;
      while (count > end - begin) count /= 2;
      add(a.in + begin, a.residual == nullptr ? nullptr : a.residual + begin, x, count);
      // Pieces below a word of signs share one with their neighbours: they begin where a bit of it does.
      const std::int64_t inside = begin % kSignWord;
      const auto signs = [&] {
        if (count >= kSignWord) return flip(x, count, begin / kSignWord, key);
        flip_signs(x, x, count, sign_word(key, begin / kSignWord) >> inside);
      };
      if (!a.inverse) signs();
      walsh_hadamard(x, count, 1);
      if (a.inverse) signs();
      largest[task] = std::max(largest[task], scale(x, 1 / std::sqrt(static_cast<float>(count)), a.out + begin, count));
      begin += count;
    }
  });
  raise_alarm(a.alarm, *std::max_element(largest, largest + kSegments));
}

}  // namespace panther::cpu
