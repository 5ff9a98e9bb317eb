#pragma once
// Which way a sketched linear layer is computed, decided by a prediction: pure functions of the shape, the device's measured rates and
// what is cached. Each product costs max(flops / rate, bytes / bandwidth) + a launch.
//
// Legend: B rows, D inputs, O outputs, R sketch size. Counts: design, section 5.1.
#include <array>
#include <optional>
#include <string>

#include "kernels/export.h"
#include "kernels/kernel_set.h"

namespace panther {

/// How the fixed signs U1 and U2 are kept.
enum class SignStorage : std::uint8_t {
  expanded,  ///< numbers, halves of the packed workspaces
  bits,      ///< one bit each
  seed,      ///< nothing: made where they are used
};

enum class LinearPath : std::uint8_t {
  chain,  ///< thin products one after the other, each by the library's GEMM or by our kernel, whichever is predicted faster
  fused,  ///< our kernel for the whole pass, signs from bits or seed without ever being stored as numbers
  dense,  ///< the product with W = alpha (S1 U1 + U2 S2), formed first or cached
};

enum class LinearPass : std::uint8_t { forward, backward, inference };

/// Flop/s of a matrix product against its smallest dimension; log-linear in between, constant outside.
struct ProductRate {
  static constexpr std::array<double, 4> kWidths{8, 32, 128, 512};
  std::array<double, 4> flops{};
  PANTHER_KERNELS_API double at(double width) const;
};

/// What was measured on one device (kernels/linear/calibrate.h), or assumed.
struct Calibration {
  std::array<ProductRate, 4> library;  ///< KernelSet::gemm, by dtype: f64, f32, bf16, f16
  std::array<ProductRate, 4> own;      ///< LinearKernels project, combine and reduce
  double memory_bytes_per_second = 0;
  double cache_bytes_per_second = 0;   ///< while all operands of a call fit into cache_bytes
  double cache_bytes = 0;
  double launch_seconds = 0;
  double signs_per_second = 0;         ///< made from a seed
  std::int64_t fused_rows = 0;         ///< batches above this have no fused kernel (-1: any batch)
  std::int64_t signs_reused = 1;       ///< batch rows that share one generation or expansion of a sign
  double fused_flops = 0;              ///< flop/s of the fused kernel; 0: that of `own`
};

/// Rates of this project's test machine (one core) and of an H200 (design, section 5): for whoever has not measured. The same on
/// every machine, so ranks that use them choose alike.
PANTHER_KERNELS_API const Calibration& default_calibration(DeviceKind device);

struct LinearProblem {
  std::int64_t rows = 0, inputs = 0, outputs = 0, sketch_size = 0;
  DType dtype = DType::f32;
  LinearPass pass = LinearPass::forward;
  SignStorage signs = SignStorage::expanded;
  bool dense_cached = false;     ///< W need not be formed
  bool dense_allowed = true;     ///< false: no memory for W
  bool needs_dx = true;          ///< backward
};

/// Products in the order they run. forward: project, combine. backward: dh, ds2, ds1, dx.
struct LinearChoice {
  LinearPath path = LinearPath::chain;
  std::array<bool, 4> own{};      ///< chain: which products our kernels do
  bool dense_gradient = false;    ///< dense backward: dS from dW = X^T dY, not from thin products
  double seconds = 0;             ///< predicted
  double dense_layer_seconds = 0; ///< predicted for an ordinary layer with weight W
  std::string why;                ///< one sentence for people
};

/// The prediction for one path, whether or not it would be chosen.
PANTHER_KERNELS_API LinearChoice predict_linear_path(const LinearProblem& problem, const Calibration& calibration, LinearPath path);

/// The path with the smallest prediction; `current` stays unless another is at least a tenth faster, so that batches of slightly
/// different size do not alternate. Throws InvalidArgument for sizes below 0 and dtypes that are not floating.
PANTHER_KERNELS_API LinearChoice choose_linear_path(const LinearProblem& problem, const Calibration& calibration,
                                                    std::optional<LinearPath> current = std::nullopt);

PANTHER_KERNELS_API std::string_view linear_path_name(LinearPath path);

}  // namespace panther
