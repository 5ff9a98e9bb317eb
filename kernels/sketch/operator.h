#pragma once
// Random sketching operators S (k x n) that are generated while they are applied: the same entries on every device, rank,
// thread count and block of S. One family: kernels/sketch/family/, one contract test over the registry.
//
// Legend: K sketch rows, N ambient dimension, C columns of the data.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/registry.h"
#include "kernels/allocator.h"
#include "kernels/export.h"
#include "kernels/kernel_set.h"

namespace panther {

/// A contiguous block of S; the default is all of it.
struct SketchBlock {
  std::int64_t first_row = 0;
  std::int64_t rows = -1;  ///< -1: to the end
  std::int64_t first_column = 0;
  std::int64_t columns = -1;
};

/// Along which axis an operator may be made larger without changing entries it already has.
enum class SketchGrowth : std::uint8_t {
  rows,  ///< S of k + m rows begins with S of k rows (dense operators: one Philox stream per row)
  none,  ///< the size enters the hash
};

/// How much work and memory a block costs, for planners and reports.
struct SketchCost {
  double flops = 0;           ///< multiply-adds counted as 2, of apply() on a block with C columns
  double generated = 0;       ///< random words drawn
  std::int64_t stored_bytes = 0;  ///< memory of S itself that apply() needs (0 for everything generated on the fly)
};

/// Where an operator runs. Workspace comes from the allocator and returns to it before apply() returns.
struct SketchContext {
  const KernelSet& kernels = cpu_kernels();
  Allocator& allocator = plain_allocator();
  Stream stream{};
};

struct SketchSpec {
  std::string kind = "gaussian";  ///< a name of sketch_operators()
  std::int64_t rows = 0;          ///< k
  std::int64_t columns = 0;       ///< n
  std::uint64_t seed = 0;
  std::string name = "sketch";    ///< operator id: two operators with one seed and different names are independent
  std::uint32_t epoch = 0;
  std::int64_t nonzeros = 4;      ///< per column (saso) or per row (laso); others ignore it
  std::int64_t inner_rows = 0;    ///< multi_sketch only: rows of its first stage; 0: chosen from k and n
  /// row_sampling only: n non-negative weights on the host (leverage scores, squared norms), not necessarily normalised.
  std::shared_ptr<const std::vector<double>> weights{};
};

class PANTHER_KERNELS_API SketchOperator {
 public:
  virtual ~SketchOperator();

  virtual const SketchSpec& spec() const = 0;
  std::int64_t rows() const { return spec().rows; }
  std::int64_t columns() const { return spec().columns; }

  /// c with E[(c S)^T (c S)] = I. apply() never multiplies by it: pass it in `alpha`, so that growing k changes no old entry.
  virtual double isometry_scale() const = 0;
  virtual SketchGrowth growth() const = 0;
  virtual SketchCost cost(const SketchBlock& block, std::int64_t data_columns) const = 0;

  /// transpose == false: out_KC = alpha S[block] a_NC + beta out_KC; true: out_NC = alpha S[block]^T a_KC + beta out_NC.
  /// a and out: one dtype of f64 f32 bf16 (accumulated in f32 at least), any strides, not overlapping; beta == 0 never reads out.
  /// A S^T is (S A^T)^T: pass transposed views (see apply_right). Throws InvalidArgument for shapes and blocks that do not fit.
  virtual void apply(const SketchContext& context, bool transpose, const SketchBlock& block, double alpha, const TensorView& a, double beta,
                     const TensorView& out) const = 0;

  /// out = scale * S[block], any floating dtype and strides. For tests, small cases and people who want to look.
  virtual void materialize(const SketchContext& context, const SketchBlock& block, double scale, const TensorView& out) const = 0;
};

/// out_CK = alpha a_CN S^T + beta out_CK (transpose == true), out_CN = alpha a_CK S + beta out_CN (false), whole S.
inline void apply_right(const SketchOperator& sketch, const SketchContext& context, bool transpose, double alpha, const TensorView& a, double beta,
                        const TensorView& out) {
  sketch.apply(context, !transpose, {}, alpha, a.transposed(), beta, out.transposed());
}

using SketchFactory = std::function<std::unique_ptr<SketchOperator>(const SketchSpec&)>;
using SketchRegistry = Registry<SketchFactory>;

/// Every operator: count_sketch gaussian haar laso multi_sketch rademacher row_sampling saso srht uniform.
PANTHER_KERNELS_API const SketchRegistry& sketch_operators();
/// Throws InvalidArgument for an unknown kind (with the nearest), k or n < 1, or values the kind cannot have.
PANTHER_KERNELS_API std::unique_ptr<SketchOperator> make_sketch(const SketchSpec& spec);

/// Sums a contiguous view over all ranks, in place, leaving the same bits on every rank. Empty: one process.
using SumOverRanks = std::function<void(const TensorView&)>;

/// B = alpha S A for an A whose rows are split over ranks: this rank holds rows [first_row, first_row + a_local.shape[0]). Every rank
/// gets all of out_KC. (An A split by columns needs no communication: every rank applies S to its own.)
PANTHER_KERNELS_API void apply_row_split(const SketchOperator& sketch, const SketchContext& context, std::int64_t first_row, double alpha,
                                         const TensorView& a_local, const TensorView& out_KC, const SumOverRanks& sum);

}  // namespace panther
