#pragma once
// Where the entries of a hashed sketch stand: the same code on the host and in CUDA kernels.
//
// A pattern is a matrix with few entries in each *major* vector (a column of SASO, a row of LASO and of row sampling); the other axis
// is *minor*. Draw t of major vector j is the 64-bit number in words 2 (t % 2), 2 (t % 2) + 1 of the Philox block with counter
// {j, t / 2, epoch, hashes}. Its place in [0, range) is floor(number * range / 2^64) (Lemire's multiply-shift, 1805.10941, without
// rejection: probabilities differ from 1 / range by less than 2^-64), its sign is its lowest bit.
#include <cstdint>

#include "kernels/sketch/signs.h"

namespace panther {

/// Draws per major vector: they live in registers and on the stack of whoever generates them. Practice is 1 to 8 (SASO), to some hundreds (LASO).
inline constexpr int kMaxNonzeros = 256;

enum class PatternDraw : std::uint8_t {
  distinct,  ///< places without replacement, values +-1
  repeated,  ///< places with replacement; a place drawn m times has the value +-sqrt(m), its sign that of its first draw
  listed     ///< one entry per major vector: place[j] and value[j]
};

struct SparsePattern {
  PatternDraw draw = PatternDraw::distinct;
  int nonzeros = 1;  ///< draws per major vector; distinct: at most minors
  SignKey key;
  std::int64_t minors = 0;
  const std::int64_t* place = nullptr;  ///< listed only, on the device of whoever reads it
  const double* value = nullptr;
};

/// floor(bits * range / 2^64). Requires range <= 2^32.
PANTHER_HOST_DEVICE constexpr std::int64_t scale_to_range(std::uint64_t bits, std::uint64_t range) {
  return static_cast<std::int64_t>(((bits >> 32) * range + (((bits & 0xffffffffull) * range) >> 32)) >> 32);
}

PANTHER_HOST_DEVICE constexpr std::uint64_t pattern_bits(SignKey key, std::int64_t major, int draw) {
  const PhiloxBlock block = philox({{static_cast<std::uint32_t>(major), static_cast<std::uint32_t>(draw / 2), key.epoch,
                                     static_cast<std::uint32_t>(RandomDomain::hashes)}}, PhiloxKey::from(key.key));
  const int word = draw % 2 * 2;
  return static_cast<std::uint64_t>(block.word[word]) << 32 | block.word[word + 1];
}

/// Turns draws into distinct places: the first `nonzeros` steps of a Fisher-Yates shuffle of [0, minors). Step t exchanges a random
/// position of the first minors - t with the last of them and takes what stood there. The shuffled array is never made: only the few
/// exchanged positions are remembered, so nothing has to be undone and a column costs O(nonzeros^2).
class DistinctPlaces {
 public:
  /// `from` and `to` hold one entry per step and outlive this.
  PANTHER_HOST_DEVICE DistinctPlaces(std::int64_t minors, std::int64_t* from, std::int64_t* to) : minors_(minors), from_(from), to_(to) {}

  PANTHER_HOST_DEVICE std::int64_t take(std::uint64_t bits) {
    const std::int64_t last = minors_ - 1 - steps_;
    const std::int64_t at = scale_to_range(bits, static_cast<std::uint64_t>(last + 1));
    const std::int64_t taken = standing(at), moved = standing(last);
    from_[steps_] = at;
    to_[steps_] = moved;
    ++steps_;
    return taken;
  }

 private:
  PANTHER_HOST_DEVICE std::int64_t standing(std::int64_t position) const {
    for (int t = steps_ - 1; t >= 0; --t) {
      if (from_[t] == position) return to_[t];
    }
    return position;
  }

  std::int64_t minors_;
  std::int64_t* from_;
  std::int64_t* to_;
  int steps_ = 0;
};

/// The square root of a small multiplicity, exact to rounding on every device (IEEE 754 requires it of sqrt, not of a library's pow).
PANTHER_HOST_DEVICE inline double multiplicity_root(int count) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(static_cast<double>(count));
#else
  return __builtin_sqrt(static_cast<double>(count));
#endif
}

/// All entries of one major vector, in order of their draws. `bits(t)` gives draw t; returns how many were written to place[] and value[]
/// (room for `nonzeros`). `from` and `to` are scratch of the same size, used for distinct draws.
template <class Bits>
PANTHER_HOST_DEVICE int pattern_entries(const SparsePattern& pattern, std::int64_t major, Bits&& bits, std::int64_t* place, double* value,
                                        std::int64_t* from, std::int64_t* to) {
  if (pattern.draw == PatternDraw::listed) {
    place[0] = pattern.place[major];
    value[0] = pattern.value[major];
    return 1;
  }
  if (pattern.draw == PatternDraw::distinct) {
    DistinctPlaces places(pattern.minors, from, to);
    for (int t = 0; t < pattern.nonzeros; ++t) {
      const std::uint64_t number = bits(t);
      place[t] = places.take(number);
      value[t] = (number & 1u) != 0 ? -1.0 : 1.0;
    }
    return pattern.nonzeros;
  }
  int count = 0;
  for (int t = 0; t < pattern.nonzeros; ++t) {
    const std::uint64_t number = bits(t);
    const std::int64_t at = scale_to_range(number, static_cast<std::uint64_t>(pattern.minors));
    int e = 0;
    while (e < count && place[e] != at) ++e;
    if (e == count) {
      place[count] = at;
      value[count] = (number & 1u) != 0 ? -1.0 : 1.0;
      from[count++] = 1;
    } else {
      ++from[e];
    }
  }
  for (int e = 0; e < count; ++e) {
    if (from[e] > 1) value[e] *= multiplicity_root(static_cast<int>(from[e]));
  }
  return count;
}

/// As above, generating each draw where it is needed.
PANTHER_HOST_DEVICE inline int pattern_entries(const SparsePattern& pattern, std::int64_t major, std::int64_t* place, double* value,
                                               std::int64_t* from, std::int64_t* to) {
  const SignKey key = pattern.key;
  return pattern_entries(pattern, major, [key, major](int t) { return pattern_bits(key, major, t); }, place, value, from, to);
}

}  // namespace panther
