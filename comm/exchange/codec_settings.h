#pragma once
// What the user may set about codecs: `[comm.codec]` of the configuration. Every codec reads what concerns it.
#include <cstdint>

#include "comm/export.h"
#include "core/fields.h"

namespace panther::comm {

struct PANTHER_COMM_API CodecSettings {
  std::int64_t rank = 4;             ///< powersgd: columns of the factors
  bool alternating = false;          ///< powersgd: one factor per step (half the messages and bytes) instead of both
  std::int64_t bits = 4;             ///< quantize: bits per element on the wire
  std::int64_t block = 512;          ///< quantize: elements that share a scale
  bool stochastic = false;           ///< quantize: unbiased rounding instead of the nearest level
  double density = 0.01;             ///< top_k, random_k, srht, count_sketch: share of the elements that is sent
  std::int64_t sketch_rows = 5;      ///< count_sketch: hash functions, of which the median is taken
  std::int64_t sketch_columns = 16;  ///< count_sketch: cells of a row for each element that is sent
  double momentum = 0;               ///< sign: share of the rank's earlier gradients in what is sent; 0: the gradient
  bool error_feedback = true;        ///< add what was lost to the next step's gradient
  double residual_limit = 10;        ///< residuals are scaled down to this times |gradient| / contraction; 0: never
  std::int64_t min_numel = 1024;     ///< smaller matrices travel exactly, as all vectors do
  bool compress_sketched = false;    ///< compress gradients of sketched layers too, whose plain sum is small and exact
  std::int64_t seed = 0;             ///< of random choices
  void fields(FieldVisitor& v);
};

/// 64-bit digest of all fields: what ranks must agree on.
PANTHER_COMM_API std::uint64_t settings_digest(const CodecSettings& settings);

/// Throws InvalidArgument for values outside the ranges that fields() names: for settings that no configuration file was read for.
PANTHER_COMM_API void check_settings(const CodecSettings& settings);

}  // namespace panther::comm
