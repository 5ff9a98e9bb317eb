// Which sample comes when, and whose it is.
#include <bit>

#include "core/error.h"
#include "kernels/philox.h"
#include "runtime/data/dataset.h"

namespace panther::runtime {
namespace {

/// A keyed permutation of [0, 2^bits): an alternating Feistel network over halves that may differ by a bit. Each round
/// xors one half with a function of the other, so it can be undone and no two inputs meet.
std::uint64_t feistel(std::uint64_t value, int bits, std::uint64_t key) {
  constexpr int kRounds = 8;
  const int low_bits = bits / 2;
  const std::uint64_t low_mask = (std::uint64_t{1} << low_bits) - 1;
  const std::uint64_t high_mask = (std::uint64_t{1} << (bits - low_bits)) - 1;
  std::uint64_t low = value & low_mask;
  std::uint64_t high = value >> low_bits;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t round_key = mix64(key, static_cast<std::uint64_t>(round));
    if (round % 2 == 0) {
      high ^= mix64(round_key, low) & high_mask;
    } else {
      low ^= mix64(round_key, high) & low_mask;
    }
  }
  return high << low_bits | low;
}

/// Cycle walking (Black, Rogaway 2002): apply the permutation of the next power of two until it lands below `size`; fewer than two
/// applications on average.
std::int64_t permute(std::int64_t index, std::int64_t size, std::uint64_t key) {
  const int bits = std::bit_width(static_cast<std::uint64_t>(size - 1));
  auto value = static_cast<std::uint64_t>(index);
  do {
    value = feistel(value, bits, key);
  } while (value >= static_cast<std::uint64_t>(size));
  return static_cast<std::int64_t>(value);
}

}  // namespace

SampleRef sample_at(std::uint64_t seed, std::int64_t dataset_size, std::int64_t position) {
  PANTHER_CHECK(dataset_size > 0 && position >= 0, "sample ", position, " of a data set of ", dataset_size);
  SampleRef sample;
  sample.epoch = position / dataset_size;
  sample.position = position;
  const std::uint64_t stream = mix64(seed, static_cast<std::uint64_t>(RandomDomain::sampler));
  sample.index = permute(position % dataset_size, dataset_size, mix64(stream, static_cast<std::uint64_t>(sample.epoch)));
  return sample;
}

Share share_of(std::int64_t total, int world_size, int rank) {
  PANTHER_CHECK(total >= 0 && world_size > 0 && rank >= 0 && rank < world_size, "share of ", total, " for rank ", rank, " of ", world_size);
  const std::int64_t each = total / world_size;
  const std::int64_t extra = total % world_size;
  return {rank * each + std::min<std::int64_t>(rank, extra), each + (rank < extra ? 1 : 0)};
}

}  // namespace panther::runtime
