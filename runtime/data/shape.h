#pragma once
// What the data asks of a model.
#include <cstdint>

namespace panther::runtime {

struct DataShape {
  std::int64_t vocabulary = 256;  ///< tokens or classes
  std::int64_t features = 0;      ///< inputs per row of csv/synthetic data; 0 for tokens
  std::int64_t sequence = 0;      ///< tokens per sample; 0 for rows
  bool regression = false;        ///< real targets, squared error
  std::int64_t targets_per_sample() const { return sequence > 0 ? sequence : 1; }
};

}  // namespace panther::runtime
