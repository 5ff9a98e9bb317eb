#include "kernels/sketch/sample_rows.h"

#include <unordered_map>

#include "kernels/element/sparse_pattern.h"

namespace panther {

std::vector<std::int64_t> sample_without_replacement(SignKey key, std::int64_t size, std::int64_t count) {
  std::unordered_map<std::int64_t, std::int64_t> moved;  // what stands where, when it is not its own place
  moved.reserve(static_cast<std::size_t>(2 * count));
  const auto standing = [&moved](std::int64_t position) {
    const auto found = moved.find(position);
    return found == moved.end() ? position : found->second;
  };
  std::vector<std::int64_t> samples;
  samples.reserve(static_cast<std::size_t>(count));
  for (std::int64_t t = 0; t < count; ++t) {
    const PhiloxBlock block = philox({{static_cast<std::uint32_t>(t), 0, key.epoch, static_cast<std::uint32_t>(RandomDomain::samples)}}, PhiloxKey::from(key.key));
    const std::uint64_t bits = static_cast<std::uint64_t>(block.word[0]) << 32 | block.word[1];
    const std::int64_t at = t + scale_to_range(bits, static_cast<std::uint64_t>(size - t));
    samples.push_back(standing(at));
    moved[at] = standing(t);
    moved.erase(t);
  }
  return samples;
}

}  // namespace panther
