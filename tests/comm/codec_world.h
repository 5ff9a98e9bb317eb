#pragma once
// Ranks as threads that exchange known gradients through a codec for some steps, and what every rank ended with.
#include <cmath>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tests/comm/exchange_world.h"

namespace panther::comm::testing {

/// Codec state, by name.
using SavedState = std::map<std::string, std::vector<std::byte>>;

inline SavedState save(const Exchange& exchange) {
  SavedState state;
  exchange.save_state([&](const std::string& name, const TensorView& value) {
    const auto* bytes = value.as<std::byte>();
    state[name].assign(bytes, bytes + value.bytes());
  });
  return state;
}

inline void load(Exchange& exchange, const SavedState& state) {
  exchange.load_state([&](const std::string& name, const TensorView& value) {
    const auto found = state.find(name);
    if (found == state.end()) return false;
    PANTHER_REQUIRE(static_cast<std::int64_t>(found->second.size()) == value.bytes(), "state '", name, "' has another size");
    std::memcpy(value.data, found->second.data(), found->second.size());
    return true;
  });
}

inline std::vector<float> residual_of(const SavedState& state, const std::string& parameter, std::int64_t numel) {
  std::vector<float> values(static_cast<std::size_t>(numel), 0.0f);
  const auto found = state.find(parameter + "/residual");
  if (found != state.end()) std::memcpy(values.data(), found->second.data(), found->second.size());
  return values;
}

inline GradientSlot matrix(const std::string& name, std::int64_t rows, std::int64_t columns, DType dtype = DType::f32) {
  return {name, rows * columns, dtype, 0, rows, columns};
}
inline GradientSlot vector(const std::string& name, std::int64_t numel, DType dtype = DType::f32) { return {name, numel, dtype}; }

/// Standard normal by counter: the same in every test, rank and step coded.
inline float normal_value(int rank, std::int64_t step, std::int64_t slot, std::int64_t i) {
  const PhiloxBlock block = philox({{static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(slot), static_cast<std::uint32_t>(step),
                                     static_cast<std::uint32_t>(rank)}}, PhiloxKey::from(0x5eed));
  const double radius = std::sqrt(-2 * std::log(static_cast<double>(uniform_open(block.word[0]))));
  return static_cast<float>(radius * std::cos(6.283185307179586 * static_cast<double>(uniform_open(block.word[1]))));
}

/// Value of element i of a slot's gradient.
using Gradient = std::function<double(int rank, std::int64_t step, std::int64_t slot, std::int64_t i)>;

inline void fill(RankExchange& world, int rank, std::int64_t step, const Gradient& gradient) {
  for (std::size_t slot = 0; slot < world.slots.size(); ++slot) {
    const TensorView view = world.gradient(static_cast<std::int64_t>(slot));
    for (std::int64_t i = 0; i < view.numel(); ++i) put(view, i, gradient(rank, step, static_cast<std::int64_t>(slot), i));
  }
  world.push();
}

inline ExchangeReport step(RankExchange& world, int rank, std::int64_t number, const Gradient& gradient) {
  world.exchange->begin({});
  world.exchange->set_control({}, 1.0 / (3 + rank));
  fill(world, rank, number, gradient);
  const ExchangeReport report = world.exchange->finish();
  world.pull();
  return report;
}

/// Gradients as they stand in the buckets, slot after slot.
inline std::vector<std::vector<double>> contents(const RankExchange& world) {
  std::vector<std::vector<double>> result;
  for (std::size_t slot = 0; slot < world.slots.size(); ++slot) {
    const TensorView view = world.gradient(static_cast<std::int64_t>(slot));
    result.emplace_back();
    for (std::int64_t i = 0; i < view.numel(); ++i) result.back().push_back(get(view, i));
  }
  return result;
}

/// One value per rank, filled by the ranks' threads.
template <class T>
class PerRank {
 public:
  explicit PerRank(int ranks) : values_(static_cast<std::size_t>(ranks)) {}
  void set(int rank, T value) {
    const std::lock_guard lock(mutex_);
    values_[static_cast<std::size_t>(rank)] = std::move(value);
  }
  const T& operator[](int rank) const { return values_[static_cast<std::size_t>(rank)]; }
  int ranks() const { return static_cast<int>(values_.size()); }

 private:
  std::mutex mutex_;
  std::vector<T> values_;
};

}  // namespace panther::comm::testing
