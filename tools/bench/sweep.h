#pragma once
// What `panther bench kernels` measures: the kernels room over sizes, each figure beside the machine's limits.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/allocator.h"
#include "kernels/kernel_set.h"
#include "tools/measure/machine_limits.h"
#include "tools/measure/timing.h"

namespace panther::bench {

struct SweepPoint {
  std::string group;   ///< "operators", "qr", "svd", "linear": one table and one chart each
  std::string series;  ///< a line of the chart: "saso", "cqrrpt", "dense gemm"
  double size = 0;     ///< the chart's x
  measure::Figure figure;
  /// Flops per byte that must move at least, for the roofline. 0: not placed.
  double intensity() const { return figure.bytes > 0 ? figure.flops / figure.bytes : 0; }
};

struct SweepPlan {
  const KernelSet& kernels = cpu_kernels();
  bool quick = false;  ///< small sizes, seconds in all
  measure::MachineLimits limits = {};
  /// Told before each point, with the share of the group done.
  std::function<void(const std::string& what)> told = {};
  /// Gets each point when it is measured.
  std::function<void(const SweepPoint&)> measured = {};

  measure::TimingPlan timing() const {
    return {.warm_ups = 1, .least_runs = 3, .most_runs = 20, .budget_seconds = quick ? 0.15 : 1.0, .device = kernels.device};
  }
  /// The limits, device and dtype filled in.
  measure::Figure figure(std::string name, std::string shape, DType dtype) const;
};

/// Every registered operator on an n x 256 matrix, and the product with a stored S of the same size.
std::vector<SweepPoint> sweep_operators(const SweepPlan& plan);
/// Pivoted and unpivoted tall QR, and general pivoted QR, against LAPACK's.
std::vector<SweepPoint> sweep_qr(const SweepPlan& plan);
/// Randomized SVDs of rank 64 on a spectrum 1/j, against gesdd where that ends in reasonable time.
std::vector<SweepPoint> sweep_svd(const SweepPlan& plan);
/// The sketched linear layer forward against the dense product.
std::vector<SweepPoint> sweep_linear(const SweepPlan& plan);

}  // namespace panther::bench
