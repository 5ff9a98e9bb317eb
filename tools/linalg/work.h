#pragma once
// One run of panther-linalg, as the commands see it: what was asked, the matrix, where to compute, what to hand back.
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/linalg/context.h"
#include "kernels/matrix.h"
#include "tools/linalg/matrix_input.h"
#include "tools/linalg/memory_plan.h"
#include "tools/linalg/progress.h"
#include "tools/linalg/report.h"
#include "tools/linalg/request.h"
#include "tools/linalg/results.h"

namespace panther::tools {

/// What a command computed; owns the memory of the factors.
class Outcome {
 public:
  void add(std::string name, Matrix matrix);
  void add_transposed(std::string name, Matrix matrix);  ///< its transpose is stored
  void add_vector(std::string name, Matrix one_column);  ///< stored as 1-d
  void add_indices(std::string name, std::vector<std::int64_t> indices);
  const std::vector<Factor>& factors() const noexcept { return factors_; }
  /// The view of a factor that was added.
  const TensorView& view(const std::string& name) const;
  /// For --plot; descending, f64.
  std::vector<double> singular_values;
  std::string plot_title = "singular values";

 private:
  std::vector<Factor> factors_;
  std::list<Matrix> matrices_;
  std::list<std::vector<std::int64_t>> indices_;
};

struct Work {
  const LinalgRequest& request;
  const MatrixInput& a;
  const MatrixInput* b = nullptr;  ///< of lstsq
  const linalg::Context& context;
  Device device;
  std::int64_t memory_bytes = 0;  ///< that may be used; 0: not known
  StageProgress& progress;
  LinalgReport& report;

  Allocator& allocator() const { return context.allocator; }
  /// Loads A as part "read" of the work.
  Matrix load() const;
  /// min(m, n).
  std::int64_t shorter() const { return a.rows() < a.columns() ? a.rows() : a.columns(); }
  /// Throws InvalidArgument when the rank asked for is more than `most`, which is `what`.
  std::int64_t rank_at_most(std::int64_t most, const char* what) const;
  /// Begins the part "check"; what it returns takes the share done.
  std::function<void(double)> begin_check() const;
};

/// Values of a vector (host or device, f32 or f64) as f64.
std::vector<double> to_doubles(const TensorView& vector);
/// A host view of a factor: itself, or a copy that `keep` owns.
TensorView on_host(const TensorView& view, std::list<Matrix>& keep);

/// The factors a command hands back, in order: the files are checked before the work begins.
std::vector<std::string> factor_names(const LinalgRequest& request);

Outcome run_qr(const Work& work);
Outcome run_svd(const Work& work);
Outcome run_lstsq(const Work& work);
Outcome run_interpolative(const Work& work);
Outcome run_cur(const Work& work);
Outcome run_nystrom(const Work& work);
Outcome run_sketch(const Work& work);

}  // namespace panther::tools
