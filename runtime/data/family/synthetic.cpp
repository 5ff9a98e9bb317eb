// Rows made up from a seed: nothing is read, nothing stored, every rank and device sees the same.
//   classification: one prototype per class, unit noise around it; two prototypes are six standard deviations apart on average,
//                   so about one row in a hundred cannot be told apart by anybody
//   regression:     y = <w, x> / sqrt(features) + 0.1 noise with a fixed teacher w
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/text.h"
#include "kernels/philox.h"
#include "runtime/data/dataset.h"

namespace panther {
namespace runtime {
namespace {

constexpr double kPrototypeDistance = 6.0;
constexpr double kTargetNoise = 0.1;

/// What a stream of draws is for; the third counter word.
enum class Purpose : std::uint32_t { prototypes = 0, row = 1, label = 2, target_noise = 3 };

class Draws {
 public:
  explicit Draws(std::uint64_t seed) : key_(PhiloxKey::from(mix64(seed, hash_name("synthetic", 9)))) {}

  PhiloxBlock block(Purpose purpose, std::int64_t row, std::int64_t number) const {
    // Rows and blocks share two words: up to 2^40 rows of up to 2^24 blocks.
    const std::uint64_t place = static_cast<std::uint64_t>(row) << 24 | static_cast<std::uint64_t>(number);
    return philox({{static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32), static_cast<std::uint32_t>(purpose),
                    static_cast<std::uint32_t>(RandomDomain::synthetic)}}, key_);
  }

  /// `count` standard normal values (Box-Muller).
  template <class Accept>
  void normals(Purpose purpose, std::int64_t row, std::int64_t count, Accept accept) const {
    for (std::int64_t begin = 0; begin < count; begin += 4) {
      const PhiloxBlock words = block(purpose, row, begin / 4);
      for (int pair = 0; pair < 2; ++pair) {
        const double radius = std::sqrt(-2.0 * std::log(static_cast<double>(uniform_open(words.word[2 * pair]))));
        const double angle = 2.0 * std::numbers::pi * static_cast<double>(uniform_open(words.word[2 * pair + 1]));
        if (begin + 2 * pair < count) accept(begin + 2 * pair, radius * std::cos(angle));
        if (begin + 2 * pair + 1 < count) accept(begin + 2 * pair + 1, radius * std::sin(angle));
      }
    }
  }

 private:
  PhiloxKey key_;
};

class SyntheticDataset final : public Dataset {
 public:
  SyntheticDataset(const DataConfig& config, std::uint64_t seed, std::int64_t first_row, std::int64_t rows)
      : draws_(seed), first_row_(first_row), rows_(rows), features_(config.features), classes_(config.classes),
        regression_(config.task == "regression") {
    const std::int64_t vectors = regression_ ? 1 : classes_;
    fixed_.resize(static_cast<std::size_t>(vectors * features_));
    const double scale = regression_ ? 1.0 / std::sqrt(static_cast<double>(features_))
                                     : kPrototypeDistance / std::sqrt(2.0 * static_cast<double>(features_));
    for (std::int64_t vector = 0; vector < vectors; ++vector) {
      draws_.normals(Purpose::prototypes, vector, features_, [&](std::int64_t f, double value) {
        fixed_[static_cast<std::size_t>(vector * features_ + f)] = scale * value;
      });
    }
  }

  std::int64_t size() const override { return rows_; }
  DataShape shape() const override {
    return {.vocabulary = regression_ ? 1 : classes_, .features = features_, .sequence = 0, .regression = regression_};
  }

  Batch collate(std::span<const SampleRef> samples) const override {
    const auto rows = static_cast<std::int64_t>(samples.size());
    Batch batch{at::empty({rows, features_}, at::kFloat), at::empty({rows}, regression_ ? at::kFloat : at::kLong), at::empty({rows}, at::kLong)};
    auto* inputs = batch.inputs.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < rows; ++i) {
      const SampleRef& sample = samples[static_cast<std::size_t>(i)];
      PANTHER_CHECK(sample.index >= 0 && sample.index < rows_, "row ", sample.index, " of ", rows_);
      float* row_F = inputs + i * features_;
      if (regression_) {
        batch.targets.mutable_data_ptr<float>()[i] = fill_regression(first_row_ + sample.index, row_F);
      } else {
        batch.targets.mutable_data_ptr<std::int64_t>()[i] = fill_classification(first_row_ + sample.index, row_F);
      }
      batch.sample_ids.mutable_data_ptr<std::int64_t>()[i] = sample.position;
    }
    return batch;
  }

  std::string summary() const override {
    return concat(rows_, " made-up rows of ", features_, " features, ", regression_ ? "regression" : concat(classes_, " classes"));
  }

 private:
  std::int64_t fill_classification(std::int64_t row, float* row_F) const {
    const auto label = static_cast<std::int64_t>(draws_.block(Purpose::label, row, 0).word[0] % static_cast<std::uint64_t>(classes_));
    const double* prototype = fixed_.data() + label * features_;
    draws_.normals(Purpose::row, row, features_, [&](std::int64_t f, double value) { row_F[f] = static_cast<float>(prototype[f] + value); });
    return label;
  }

  float fill_regression(std::int64_t row, float* row_F) const {
    double target = 0;
    draws_.normals(Purpose::row, row, features_, [&](std::int64_t f, double value) {
      row_F[f] = static_cast<float>(value);
      target += fixed_[static_cast<std::size_t>(f)] * value;
    });
    draws_.normals(Purpose::target_noise, row, 1, [&](std::int64_t, double value) { target += kTargetNoise * value; });
    return static_cast<float>(target);
  }

  Draws draws_;
  std::int64_t first_row_;
  std::int64_t rows_;
  std::int64_t features_;
  std::int64_t classes_;
  bool regression_;
  std::vector<double> fixed_;  ///< prototypes (classes x features), or the teacher
};

Datasets make_synthetic(const DataConfig& config, std::uint64_t seed, const ConfigOrigin& origin) {
  const auto held_out = static_cast<std::int64_t>(std::llround(static_cast<double>(config.samples) * config.val_fraction));
  const std::int64_t trained = config.samples - held_out;
  if (trained < 1 || (config.val_fraction > 0 && held_out < 1)) {
    throw Error(ErrorCode::InvalidArgument, concat("data.samples = ", config.samples, " and data.val_fraction = ", config.val_fraction,
                                                   " leave ", trained, " rows to train on and ", held_out, " to validate: raise data.samples"),
                origin.at("data.samples"));
  }
  Datasets result;
  result.train = std::make_shared<SyntheticDataset>(config, seed, 0, trained);
  if (held_out > 0) result.validation = std::make_shared<SyntheticDataset>(config, seed, trained, held_out);
  return result;
}

}  // namespace
}  // namespace runtime

void register_synthetic(runtime::DatasetRegistry& registry) { registry.add("synthetic", {&runtime::make_synthetic}); }

}  // namespace panther
