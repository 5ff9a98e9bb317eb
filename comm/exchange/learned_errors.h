#pragma once
// What "auto" knows of codecs' errors on this model: for each bucket and codec the factor between |residual| / |gradient| as it was measured and as a table
// expected it. It holds for all ranks or bits of a codec alike. Pure but for saving.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "comm/exchange/codec.h"

namespace panther::comm {

class PANTHER_COMM_API LearnedErrors {
 public:
  /// `buckets`: a name for each, under which a checkpoint keeps it.
  explicit LearnedErrors(std::vector<std::string> buckets = {}) : names_(std::move(buckets)), factors_(names_.size()) {}

  /// 1 where nothing was measured.
  double factor(std::size_t bucket, const std::string& codec) const;
  bool knows(std::size_t bucket, const std::string& codec) const { return factors_[bucket].contains(codec); }
  /// Training under the codec showed this.
  void observe(std::size_t bucket, const std::string& codec, double factor) { factors_[bucket][codec] = factor; }
  /// A trial on one gradient, which does not know what piles up from step to step: what training said stands where it is worse.
  void try_out(std::size_t bucket, const std::string& codec, double factor);
  /// What was measured under codecs that are no longer in use counts less from plan to plan, so that they get another chance: half of it, in logarithms, goes.
  /// `in_use`: codec of each bucket.
  void forget_others(const std::vector<std::string>& in_use);

  void save(const StateSink& put) const;
  /// What the source does not hold stays unknown.
  void load(const StateSource& get, const std::set<std::string>& codecs);

 private:
  std::vector<std::string> names_;
  std::vector<std::map<std::string, double>> factors_;  ///< by bucket and codec
};

}  // namespace panther::comm
