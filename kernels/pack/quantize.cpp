#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/pack/alarm.h"
#include "kernels/pack/bit_fields.h"
#include "kernels/pack/pack_kernels.h"
#include "kernels/pack/quantize_coding.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kLanes = 8;           // 32 bytes: wider vectors would live in memory where registers are not as wide
constexpr std::int64_t kSums = 16;           // partial sums, the same on every processor
constexpr std::int64_t kPiece = 512;         // elements packed at a time; a multiple of 8
constexpr std::int64_t kTaskElements = 16384;
constexpr std::int64_t kAheadElements = 2048;  // of a block that is asked for while another is computed: both fit the first cache

/// The largest magnitude's bits; nan and inf are above all.
PANTHER_VECTORISED std::uint32_t add_and_find_largest(const float* gradient, const float* residual, float* sum, std::int64_t count) {
  std::uint32_t largest = 0;
  if (residual == nullptr) {
    for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, bits_of(gradient[i]) & kMagnitudeBits);
    if (sum != nullptr) std::memcpy(sum, gradient, static_cast<std::size_t>(count) * sizeof(float));
    return largest;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = gradient[i] + residual[i];
    sum[i] = v;
    largest = std::max(largest, bits_of(v) & kMagnitudeBits);
  }
  return largest;
}

using Lanes = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
using Codes = std::uint32_t __attribute__((vector_size(kLanes * sizeof(std::uint32_t))));
using Levels = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

float total(const float* lanes) {
  float sum = 0;
  for (std::int64_t j = 0; j < kSums; ++j) sum += lanes[j];
  return sum;
}

/// The block that comes next. The loops over this one ask memory for it as they go: asked for at once, it would be waited for.
struct Ahead {
  const float* gradient = nullptr;
  const float* residual = nullptr;
  const float* next = nullptr;
};

/// Where no full block comes, or a long one, or nothing is read or written in it, what is in the cache already is asked for.
Ahead block_after(const QuantizeArguments& a, std::int64_t first, std::int64_t count) {
  const std::int64_t at = count <= kAheadElements && first + 2 * count <= a.count ? first + count : first;
  const float* gradient = a.gradient + at;
  return {gradient, a.residual == nullptr ? gradient : a.residual + at, a.next == nullptr ? gradient : a.next + at};
}

/// The sum of |w| or of w^2 for w = v normaliser.
template <bool kSquares>
PANTHER_VECTORISED float moment(const float* v, std::int64_t count, float normaliser, const Ahead& ahead) {
  Lanes part[4] = {};
  std::int64_t i = 0;
  for (; i + 2 * kSums <= count; i += 2 * kSums) {
    for (std::int64_t line = i; line < i + 2 * kSums; line += kSums) {
      __builtin_prefetch(ahead.gradient + line, 0, 3);
      if constexpr (kSquares) continue;  // fit_steps asks for the others
      __builtin_prefetch(ahead.residual + line, 0, 3);
      __builtin_prefetch(ahead.next + line, 1, 3);
    }
    for (int j = 0; j < 4; ++j) {
      const Lanes w = *reinterpret_cast<const Lanes*>(v + i + j * kLanes) * normaliser;
      if constexpr (kSquares) part[j] += w * w;
      else part[j] += reinterpret_cast<Lanes>(reinterpret_cast<Codes>(w) & kMagnitudeBits);
    }
  }
  float lanes[kSums];
  for (std::int64_t j = 0; j < kSums; ++j) lanes[j] = part[j / kLanes][j % kLanes] + part[2 + j / kLanes][j % kLanes];
  float sum = total(lanes);
  for (; i < count; ++i) {
    const float w = v[i] * normaliser;
    sum += kSquares ? w * w : std::abs(w);
  }
  return sum;
}

/// For two steps in one sweep; the first clips nothing.
struct Fits {
  Fit fit[2];
};

PANTHER_VECTORISED Fits fit_steps(const float* v, std::int64_t count, float normaliser, float inverse_a, float inverse_b, float limit,
                                  const Ahead& ahead) {
  constexpr float kRound = 12582912.0f;  // as nearest_integer
  const float inverse[2] = {inverse_a, inverse_b};
  const Lanes low = Lanes{} - limit, high = Lanes{} + limit;
  Lanes cross[2][2] = {}, levels[2][2] = {};
  std::int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    __builtin_prefetch(ahead.residual + i, 0, 3);
    __builtin_prefetch(ahead.next + i, 1, 3);
    for (int j = 0; j < 2; ++j) {
      const Lanes w = *reinterpret_cast<const Lanes*>(v + i + j * kLanes) * normaliser;
      for (int k = 0; k < 2; ++k) {
        Lanes level = w * inverse[k];
        if (k > 0) {
          level = level < low ? low : level;
          level = level > high ? high : level;
        }
        level = (level + kRound) - kRound;
        cross[k][j] += w * level;
        levels[k][j] += level * level;
      }
    }
  }
  Fits result;
  for (int k = 0; k < 2; ++k) {
    float sums[2][kSums];
    for (std::int64_t j = 0; j < kSums; ++j) {
      sums[0][j] = cross[k][j / kLanes][j % kLanes];
      sums[1][j] = levels[k][j / kLanes][j % kLanes];
    }
    result.fit[k] = {total(sums[0]), total(sums[1])};
    for (std::int64_t t = i; t < count; ++t) {
      const float level = quantize_level(v[t] * normaliser, inverse[k], limit);
      result.fit[k].cross += v[t] * normaliser * level;
      result.fit[k].levels += level * level;
    }
  }
  return result;
}

Coding choose(const QuantizeArguments& a, const float* v, std::int64_t count, std::uint32_t largest_bits, const Ahead& ahead) {
  if (largest_bits >= kInfinityBits) return nonfinite_coding();
  if (largest_bits == 0) return {};
  const auto limit = static_cast<float>(quantize_limit(a.format.bits));
  const float normaliser = quantize_normaliser(largest_bits);
  const float no_clip = float_of(largest_bits) * normaliser / limit;
  if (a.stochastic) return scaled_coding(normaliser, limit, no_clip, no_clip);
  if (a.format.bits == 1) return scaled_coding(normaliser, limit, 1, moment<false>(v, count, normaliser, ahead) / static_cast<float>(count));
  const float normal = normal_step(a.format.bits, moment<true>(v, count, normaliser, ahead), count);
  const Fits fits = fit_steps(v, count, normaliser, 1.0f / no_clip, 1.0f / std::min(normal, no_clip), limit, ahead);
  return better_coding(normaliser, limit, no_clip, fits.fit[0], normal, fits.fit[1]);
}

PANTHER_VECTORISED void fill_uniform(std::uint64_t key, std::uint64_t step, std::int64_t first, std::int64_t count, float* uniform) {
  const auto group = static_cast<std::uint64_t>(first) / 4;  // pieces begin at multiples of 8
  for (std::int64_t g = 0; g < (count + 3) / 4; ++g) {
    const std::uint64_t at = group + static_cast<std::uint64_t>(g);
    const PhiloxBlock block = philox({{static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32), static_cast<std::uint32_t>(step),
                                       static_cast<std::uint32_t>(step >> 32)}}, PhiloxKey::from(key));
    for (int j = 0; j < 4; ++j) uniform[4 * g + j] = uniform_open(block.word[j]);
  }
}

/// Levels of a piece into `level`; `next`, where v lies then, becomes v - decoded.
template <int kBits>
PANTHER_VECTORISED void code_piece(const float* v, float* next, std::int64_t count, const Coding& coding, const float* uniform, float* level) {
  constexpr float kLimit = quantize_limit(kBits);
  const float normaliser = coding.normaliser, inverse_step = coding.inverse_step, scale = coding.scale;
  for (std::int64_t i = 0; i < count; ++i) {
    const float w = v[i] * normaliser;
    if constexpr (kBits == 1) level[i] = uniform == nullptr ? quantize_sign(w) : quantize_sign_random(w, inverse_step, uniform[i]);
    else level[i] = uniform == nullptr ? quantize_level(w, inverse_step, kLimit) : quantize_level_random(w, inverse_step, kLimit, uniform[i]);
  }
  if (next == nullptr) return;
  for (std::int64_t i = 0; i < count; ++i) next[i] -= scale * level[i];  // next holds v
}

template <int kBits>
PANTHER_VECTORISED void pack_piece(const float* level, std::int64_t count, std::byte* packed) {
  constexpr int kOffset = quantize_limit(kBits);
  std::uint8_t codes[kPiece];
  const std::int64_t groups = (count + 7) / 8;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto code = static_cast<std::int32_t>(level[i]) + kOffset;
    codes[i] = static_cast<std::uint8_t>(kBits == 1 ? code / 2 : code);
  }
  for (std::int64_t i = count; i < 8 * groups; ++i) codes[i] = 0;
  std::uint64_t words[kPiece / 8];
  std::memcpy(words, codes, static_cast<std::size_t>(8 * groups));
  for (std::int64_t g = 0; g < groups; ++g) words[g] = pack_eight<kBits>(words[g]);
  std::byte bytes[kPiece + 8];
  for (std::int64_t g = 0; g < groups; ++g) std::memcpy(bytes + g * kBits, &words[g], 8);
  std::memcpy(packed, bytes, static_cast<std::size_t>(groups * kBits));
}

template <int kBits>
void quantize_block(const QuantizeArguments& a, std::int64_t block, std::byte* codes) {
  const std::int64_t first = block * a.format.block;
  const std::int64_t count = std::min(a.format.block, a.count - first);
  float* next = a.next == nullptr ? nullptr : a.next + first;
  const std::uint32_t largest = add_and_find_largest(a.gradient + first, a.residual == nullptr ? nullptr : a.residual + first, next, count);
  const float* v = next == nullptr ? a.gradient + first : next;
  const Coding coding = choose(a, v, count, largest, block_after(a, first, count));
  std::memcpy(a.packed + block * static_cast<std::int64_t>(sizeof(float)), &coding.scale, sizeof(float));
  float level[kPiece], uniform[kPiece];
  for (std::int64_t at = 0; at < count; at += kPiece) {
    const std::int64_t piece = std::min(kPiece, count - at);
    if (a.stochastic) fill_uniform(a.key, a.step, first + at, piece, uniform);
    float* left = next == nullptr ? nullptr : next + at;
    if (largest < kInfinityBits) code_piece<kBits>(v + at, left, piece, coding, a.stochastic ? uniform : nullptr, level);
    else std::fill_n(level, piece, static_cast<float>(quantize_limit(kBits)));
    pack_piece<kBits>(level, piece, codes + (first + at) / 8 * kBits);
  }
}

template <int kBits>
void quantize_all(const QuantizeArguments& a) {
  const std::int64_t blocks = quantize_blocks(a.format, a.count);
  std::byte* codes = a.packed + blocks * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t per_task = std::max<std::int64_t>(1, kTaskElements / a.format.block);
  parallel_for((blocks + per_task - 1) / per_task, 4 * a.count, [&](std::int64_t task) {
    for (std::int64_t b = task * per_task; b < std::min(blocks, (task + 1) * per_task); ++b) quantize_block<kBits>(a, b, codes);
  });
  std::byte* end = codes + (a.count + 7) / 8 * kBits;
  std::memset(end, 0, static_cast<std::size_t>(a.packed + quantized_bytes(a.format, a.count) - end));
}

template <int kBits>
[[gnu::always_inline]] inline float value_of(std::int32_t code, float scale) {
  return scale * static_cast<float>(kBits == 1 ? 2 * code - 1 : code - quantize_limit(kBits));
}

/// Widths whose eight codes fill a word. Every lane keeps its own code where it stands in the word and takes the power of two away when
/// it is a float: plain x86-64 has no shift by lanes.
template <int kBits, class Word>
PANTHER_VECTORISED void decode_words(const std::byte* packed, std::int64_t count, float scale, bool first, float* sum) {
  constexpr std::uint32_t kMask = (1u << kBits) - 1;
  constexpr std::uint32_t kSign = kBits * kLanes == 32 ? 0x80000000u : 0;  // set in the last code, so it is read 2^(bits - 1) too low
  Codes masks;
  Lanes back, offset;
  for (int j = 0; j < kLanes; ++j) {
    masks[j] = kMask << (j * kBits);
    back[j] = (kBits == 1 ? 2.0f : 1.0f) / static_cast<float>(1u << (j * kBits));
    offset[j] = static_cast<float>(quantize_limit(kBits) - (kSign != 0 && j + 1 == kLanes ? 1 << (kBits - 1) : 0));
  }
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Word word;
    std::memcpy(&word, packed + i * kBits / 8, sizeof word);
    const auto code = reinterpret_cast<Levels>((Codes{} + (static_cast<std::uint32_t>(word) ^ kSign)) & masks);
    const Lanes value = (__builtin_convertvector(code, Lanes) * back - offset) * scale;
    auto* at = reinterpret_cast<Lanes*>(sum + i);
    *at = first ? value : *at + value;
  }
  for (; i < count; ++i) {
    const std::uint32_t code = static_cast<std::uint32_t>(packed[i * kBits / 8]) >> (i * kBits % 8) & kMask;
    const float value = value_of<kBits>(static_cast<std::int32_t>(code), scale);
    sum[i] = first ? value : sum[i] + value;
  }
}

PANTHER_VECTORISED void decode_bytes(const std::byte* packed, std::int64_t count, float scale, bool first, float* sum) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = value_of<8>(static_cast<std::int32_t>(packed[i]), scale);
    sum[i] = first ? value : sum[i] + value;
  }
}

template <int kBits>
PANTHER_VECTORISED void decode_groups(const std::byte* packed, std::int64_t count, float scale, bool first, float* sum) {
  const std::int64_t groups = (count + 7) / 8;
  std::byte bytes[kPiece + 8];
  std::memcpy(bytes, packed, static_cast<std::size_t>(groups * kBits));
  std::memset(bytes + groups * kBits, 0, 8);  // the last group's word reaches beyond its bits
  std::uint64_t words[kPiece / 8];
  for (std::int64_t g = 0; g < groups; ++g) std::memcpy(&words[g], bytes + g * kBits, 8);
  for (std::int64_t g = 0; g < groups; ++g) words[g] = unpack_eight<kBits>(words[g]);
  std::uint8_t codes[kPiece];
  std::memcpy(codes, words, static_cast<std::size_t>(8 * groups));
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = value_of<kBits>(codes[i], scale);
    sum[i] = first ? value : sum[i] + value;
  }
}

template <int kBits>
void decode_piece(const std::byte* packed, std::int64_t count, float scale, bool first, float* sum) {
  if constexpr (kBits == 1) decode_words<kBits, std::uint8_t>(packed, count, scale, first, sum);
  else if constexpr (kBits == 2) decode_words<kBits, std::uint16_t>(packed, count, scale, first, sum);
  else if constexpr (kBits == 4) decode_words<kBits, std::uint32_t>(packed, count, scale, first, sum);
  else if constexpr (kBits == 8) decode_bytes(packed, count, scale, first, sum);
  else decode_groups<kBits>(packed, count, scale, first, sum);
}

template <int kBits>
void decode_all(const QuantizeFormat& format, std::span<const std::byte* const> sources, std::int64_t count, bool add, float* out) {
  const std::int64_t blocks = quantize_blocks(format, count);
  const std::int64_t codes = blocks * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t per_task = std::max<std::int64_t>(1, kTaskElements / format.block);
  const auto terms = static_cast<std::int64_t>(sources.size());
  parallel_for((blocks + per_task - 1) / per_task, 2 * count * terms, [&](std::int64_t task) {
    for (std::int64_t b = task * per_task; b < std::min(blocks, (task + 1) * per_task); ++b) {
      const std::int64_t end = std::min(count, (b + 1) * format.block);
      for (std::int64_t at = b * format.block; at < end; at += kPiece) {
        for (std::size_t s = 0; s < sources.size(); ++s) {
          float scale;
          std::memcpy(&scale, sources[s] + b * static_cast<std::int64_t>(sizeof(float)), sizeof(float));
          decode_piece<kBits>(sources[s] + codes + at / 8 * kBits, std::min(kPiece, end - at), scale, s == 0 && !add, out + at);
        }
      }
    }
  });
}

}  // namespace

void quantize(const QuantizeArguments& arguments, Stream) {
  switch (arguments.format.bits) {
    case 1: return quantize_all<1>(arguments);
    case 2: return quantize_all<2>(arguments);
    case 3: return quantize_all<3>(arguments);
    case 4: return quantize_all<4>(arguments);
    case 5: return quantize_all<5>(arguments);
    case 6: return quantize_all<6>(arguments);
    case 7: return quantize_all<7>(arguments);
    case 8: return quantize_all<8>(arguments);
    default: return;
  }
}

void dequantize_sum(const QuantizeFormat& format, std::span<const std::byte* const> sources, std::int64_t count, bool add, float* out, Stream) {
  switch (format.bits) {
    case 1: return decode_all<1>(format, sources, count, add, out);
    case 2: return decode_all<2>(format, sources, count, add, out);
    case 3: return decode_all<3>(format, sources, count, add, out);
    case 4: return decode_all<4>(format, sources, count, add, out);
    case 5: return decode_all<5>(format, sources, count, add, out);
    case 6: return decode_all<6>(format, sources, count, add, out);
    case 7: return decode_all<7>(format, sources, count, add, out);
    case 8: return decode_all<8>(format, sources, count, add, out);
    default: return;
  }
}

}  // namespace panther::cpu
