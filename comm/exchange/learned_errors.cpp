#include "comm/exchange/learned_errors.h"

#include <algorithm>
#include <cmath>

namespace panther::comm {
namespace {

std::string state_name(const std::string& bucket, const std::string& codec) { return "exchange/learned/" + bucket + "/" + codec; }

}  // namespace

double LearnedErrors::factor(std::size_t bucket, const std::string& codec) const {
  const auto found = factors_[bucket].find(codec);
  return found == factors_[bucket].end() ? 1 : found->second;
}

void LearnedErrors::try_out(std::size_t bucket, const std::string& codec, double factor) {
  double& known = factors_[bucket].try_emplace(codec, factor).first->second;
  known = std::max(known, factor);
}

void LearnedErrors::forget_others(const std::vector<std::string>& in_use) {
  for (std::size_t i = 0; i < factors_.size(); ++i) {
    for (auto& [codec, factor] : factors_[i]) {
      if (codec != in_use[i]) factor = std::sqrt(factor);
    }
  }
}

void LearnedErrors::save(const StateSink& put) const {
  for (std::size_t i = 0; i < factors_.size(); ++i) {
    for (const auto& [codec, factor] : factors_[i]) {
      double value = factor;
      put(state_name(names_[i], codec), TensorView(&value, DType::f64, {1}));
    }
  }
}

void LearnedErrors::load(const StateSource& get, const std::set<std::string>& codecs) {
  for (std::size_t i = 0; i < factors_.size(); ++i) {
    factors_[i].clear();
    for (const std::string& codec : codecs) {
      double value = 0;
      if (get(state_name(names_[i], codec), TensorView(&value, DType::f64, {1})) && value > 0) factors_[i][codec] = value;
    }
  }
}

}  // namespace panther::comm
