#include "kernels/sketch/block.h"

#include "core/error.h"
#include "kernels/check_arguments.h"

namespace panther {
namespace {

std::string label(const SketchSpec& spec) { return concat(spec.kind, " sketch '", spec.name, "' [", spec.rows, ", ", spec.columns, "]"); }

void require_range(const SketchSpec& spec, const char* what, std::int64_t first, std::int64_t count, std::int64_t size) {
  PANTHER_REQUIRE(first >= 0 && count >= 0 && first <= size && count <= size - first, label(spec), ": block of ", count, " ", what, " from ", first,
                  " does not lie within its ", size);
}

void require_matrix(const SketchSpec& spec, const SketchContext& context, const char* what, const TensorView& view, std::int64_t rows, std::int64_t columns) {
  PANTHER_REQUIRE(view.dims == 2 && view.shape[0] == rows && (columns < 0 || view.shape[1] == columns), label(spec), ": ", what, " must be [", rows,
                  ", ", columns < 0 ? std::string("any") : std::to_string(columns), "], is ", check::describe(view));
  PANTHER_REQUIRE(view.device.kind == context.kernels.device, label(spec), ": ", what, " is not on the device of the kernel set '", context.kernels.name, "'");
}

}  // namespace

SketchBlock resolve(const SketchSpec& spec, const SketchBlock& block) {
  SketchBlock result = block;
  if (result.rows == -1) result.rows = spec.rows - block.first_row;
  if (result.columns == -1) result.columns = spec.columns - block.first_column;
  require_range(spec, "rows", result.first_row, result.rows, spec.rows);
  require_range(spec, "columns", result.first_column, result.columns, spec.columns);
  return result;
}

void require_apply(const SketchSpec& spec, const SketchContext& context, bool transpose, const SketchBlock& block, const TensorView& a,
                   const TensorView& out) {
  require_matrix(spec, context, "a", a, transpose ? block.rows : block.columns, -1);
  require_matrix(spec, context, "out", out, transpose ? block.columns : block.rows, a.shape[1]);
  PANTHER_REQUIRE(a.dtype == out.dtype && (a.dtype == DType::f64 || a.dtype == DType::f32 || a.dtype == DType::bf16), label(spec), ": a ",
                  check::describe(a), " and out ", check::describe(out), " must be of one dtype of f64, f32 and bf16");
}

void require_materialize(const SketchSpec& spec, const SketchContext& context, const SketchBlock& block, const TensorView& out) {
  require_matrix(spec, context, "out", out, block.rows, block.columns);
  PANTHER_REQUIRE(is_floating(out.dtype), label(spec), ": out must be floating, is ", check::describe(out));
}

}  // namespace panther
