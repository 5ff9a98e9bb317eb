#include "kernels/cpu/real_entries.h"

#include <algorithm>

#include "kernels/cpu/philox_lanes.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/gaussian.h"
#include "kernels/element/uniform.h"

namespace panther::cpu {
namespace {

PANTHER_VECTORISED void normal_lanes(const std::uint32_t* radius_word, const std::uint32_t* angle_word, float* first, float* second) {
  for (int i = 0; i < kLanes; ++i) {
    const NormalPair pair = normal_pair(radius_word[i], angle_word[i]);
    first[i] = pair.first;
    second[i] = pair.second;
  }
}

PANTHER_VECTORISED void uniform_lanes(const std::uint32_t* word, float* out) {
  for (int i = 0; i < 4 * kLanes; ++i) out[i] = uniform_unit_variance(word[i]);
}

void entry_lanes(const DenseSketch& sketch, const std::uint32_t* block, const std::uint32_t* vector, float (*out)[kLanes]) {
  alignas(64) std::uint32_t words[4][kLanes];
  const bool normal = sketch.distribution == DenseDistribution::gaussian;
  philox_lanes(sketch.key, normal ? RandomDomain::gaussian : RandomDomain::uniform, block, vector, words);
  if (!normal) return uniform_lanes(words[0], out[0]);
  normal_lanes(words[0], words[1], out[0], out[1]);
  normal_lanes(words[2], words[3], out[2], out[3]);
}

}  // namespace

void real_entries_along(const DenseSketch& sketch, std::int64_t vector, std::int64_t first_element, std::int64_t count, float* out) {
  alignas(64) std::uint32_t block[kLanes], vectors[kLanes];
  alignas(64) float entries[4][kLanes];
  std::fill(vectors, vectors + kLanes, static_cast<std::uint32_t>(vector));
  const std::int64_t end = first_element + count;
  for (std::int64_t first = first_element / 4; first * 4 < end; first += kLanes) {
    for (int i = 0; i < kLanes; ++i) block[i] = static_cast<std::uint32_t>(first + i);
    entry_lanes(sketch, block, vectors, entries);
    const std::int64_t begin = std::max(first * 4, first_element), stop = std::min((first + kLanes) * 4, end);
    for (std::int64_t e = begin; e < stop; ++e) out[e - first_element] = entries[e % 4][e / 4 - first];
  }
}

void real_entries_across(const DenseSketch& sketch, std::int64_t first_vector, std::int64_t block, float (*out)[16]) {
  alignas(64) std::uint32_t blocks[kLanes], vectors[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    blocks[i] = static_cast<std::uint32_t>(block);
    vectors[i] = static_cast<std::uint32_t>(first_vector + i);
  }
  entry_lanes(sketch, blocks, vectors, out);
}

}  // namespace panther::cpu
