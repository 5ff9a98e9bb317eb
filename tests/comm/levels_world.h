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

}  // namespace panther::comm::testing
