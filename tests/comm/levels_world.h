#pragma once
// Gradients, settings and nodes of the tests of two levels.
#include <vector>

#include "tests/comm/codec_world.h"

namespace panther::comm::testing {

using Nodes = std::vector<int>;

/// Several buckets, with matrices and vectors.
inline std::vector<GradientSlot> slots(DType dtype = DType::f32) {
  return {matrix("wide", 40, 130, dtype), vector("bias", 37, dtype), matrix("small", 5, 7, dtype), matrix("tall", 201, 33, dtype), vector("norm", 1, dtype), matrix("square", 64, 64, dtype)};
}

inline ExchangeConfig config_of(const std::string& codec, const Nodes& nodes, bool half = false) {
  ExchangeConfig config{.codec = codec, .bucket_bytes = 16384, .first_bucket_bytes = 8192, .settings = {.density = 0.05, .min_numel = 256}};
  config.nodes = nodes;
  config.inner_half = half;
  return config;
}

inline const std::vector<Nodes> kTopologies{{0, 0, 1, 1}, {0, 0, 0, 1}, {0, 1, 1, 0}, {0, 0, 1, 1, 2, 2, 3, 3}, {0, 1, 1, 1, 1}};

/// Five checked steps of f64 gradients end with their sums; all ranks of `collective` together. Gives what this rank ends with.
inline std::vector<std::vector<double>> check_sums(Collective& collective, const Nodes& nodes) {
  ExchangeConfig config = config_of("none", nodes);
  config.checked = true;
  RankExchange world(collective, slots(DType::f64), config);
  for (int s = 0; s < 5; ++s) {
    EXPECT_EQ(step(world, collective.rank(), s, normal_value).contributions, collective.size());
    const auto got = contents(world);
    for (std::size_t slot = 0; slot < got.size(); ++slot) {
      for (std::size_t i = 0; i < got[slot].size(); ++i) {
        double sum = 0;
        for (int rank = 0; rank < collective.size(); ++rank) sum += static_cast<double>(normal_value(rank, s, static_cast<std::int64_t>(slot), static_cast<std::int64_t>(i)));
        EXPECT_NEAR(got[slot][i], sum, 1e-12);
      }
    }
  }
  return contents(world);
}

}  // namespace panther::comm::testing
