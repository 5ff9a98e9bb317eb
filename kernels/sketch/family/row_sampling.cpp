// Row i of S is e_j / sqrt(p_j) with j drawn with probability p_j = w_j / sum w, with replacement: importance sampling of A's rows by
// leverage scores or squared norms (Drineas, Mahoney, Muthukrishnan 2006; Mahoney, 1104.5557).
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/sketch/sparse_operator.h"

namespace panther {
namespace {

/// Running sums, so that a draw is a binary search. Throws for weights that are no distribution.
std::vector<double> cumulated(const SketchSpec& spec) {
  PANTHER_REQUIRE(spec.weights != nullptr, spec.kind, " sketch '", spec.name, "': needs weights, one for each of the ", spec.columns,
                  " columns (leverage scores or squared row norms of the data)");
  PANTHER_REQUIRE(static_cast<std::int64_t>(spec.weights->size()) == spec.columns, spec.kind, " sketch '", spec.name, "': ", spec.weights->size(),
                  " weights for ", spec.columns, " columns");
  std::vector<double> sums;
  double sum = 0;
  for (const double weight : *spec.weights) {
    PANTHER_REQUIRE(weight >= 0 && std::isfinite(weight), spec.kind, " sketch '", spec.name, "': weight ", sums.size(), " is ", weight,
                    "; weights must be finite and not negative");
    sums.push_back(sum += weight);
  }
  PANTHER_REQUIRE(sum > 0 && std::isfinite(sum), spec.kind, " sketch '", spec.name, "': the weights add up to ", sum, "; one must be positive");
  return sums;
}

/// The list of draws: row i of any larger operator with the same weights is the same.
struct Draws {
  std::vector<std::int64_t> place;
  std::vector<double> value;

  explicit Draws(const SketchSpec& spec) {
    const std::vector<double> sums = cumulated(spec);
    const SignKey key = SignKey::of(spec.seed, spec.name, spec.epoch);
    // A rounded product may reach the sum itself: the last row with a weight.
    const auto last = std::lower_bound(sums.begin(), sums.end(), sums.back());
    for (std::int64_t i = 0; i < spec.rows; ++i) {
      const double uniform = static_cast<double>(pattern_bits(key, i, 0) >> 11) * 0x1p-53;
      const auto row = std::min(std::upper_bound(sums.begin(), sums.end(), uniform * sums.back()), last) - sums.begin();
      place.push_back(row);
      value.push_back(std::sqrt(sums.back() / (*spec.weights)[static_cast<std::size_t>(row)]));
    }
  }
};

class RowSampling final : public SparseOperator {
 public:
  explicit RowSampling(const SketchSpec& spec)
      : SparseOperator(spec, {PatternDraw::listed, 1, {}, spec.columns}, true, 1.0 / std::sqrt(static_cast<double>(spec.rows))), draws_(spec) {
    pattern_.place = draws_.place.data();
    pattern_.value = draws_.value.data();
  }
  RowSampling(const RowSampling&) = delete;
  RowSampling& operator=(const RowSampling&) = delete;

  SketchCost cost(const SketchBlock& block, std::int64_t data_columns) const override {
    SketchCost cost = SparseOperator::cost(block, data_columns);
    cost.stored_bytes = spec_.rows * 16;
    return cost;
  }

 private:
  Draws draws_;
};

}  // namespace

void register_row_sampling(SketchRegistry& registry) {
  registry.add("row_sampling", [](const SketchSpec& spec) { return std::make_unique<RowSampling>(spec); });
}

}  // namespace panther
