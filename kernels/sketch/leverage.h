#pragma once
// Weights for row sampling (SketchSpec::weights): how much a row of a matrix matters.
//
// Legend: N rows, C columns of the data. All return N values on the host, wait for the stream, and need KernelSet::lapack (Unsupported
// without). a is f64, f32 or bf16, any strides.
#include <vector>

#include "kernels/export.h"
#include "kernels/sketch/operator.h"

namespace panther {

/// ||a[i]||^2 in f64.
PANTHER_KERNELS_API std::vector<double> squared_row_norms(const SketchContext& context, const TensorView& a_NC);

/// ||Q[i]||^2 of the thin QR of a: in [0, 1], adding up to C. a has full column rank and N >= C. 4 N C^2 flops and a copy of a.
PANTHER_KERNELS_API std::vector<double> leverage_scores(const SketchContext& context, const TensorView& a_NC);

struct ApproximateLeverage {
  std::uint64_t seed = 0;
  /// Rows of the sketch whose triangle stands for a's, as a multiple of C: the scores' common distortion is within 1 / (1 +- 1 / sqrt(multiple))^2.
  std::int64_t oversampling = 8;
  /// Gaussian columns that stand for the C of a R^-1: each score has a relative standard error of sqrt(2 / projections). 0: all, exactly.
  std::int64_t projections = 64;
};

/// ||a[i] R^-1 G||^2 with R of the QR of a SASO sketch and G [C, projections] of variance 1 / projections (Drineas, Magdon-Ismail, Mahoney,
/// Woodruff, 1109.3843, with the sparse sketch of Clarkson, Woodruff, 1207.6365). 2 N C projections flops, a read twice and never copied whole.
/// Below oversampling * C rows it is leverage_scores().
PANTHER_KERNELS_API std::vector<double> approximate_leverage_scores(const SketchContext& context, const TensorView& a_NC,
                                                                    const ApproximateLeverage& options = {});

}  // namespace panther
