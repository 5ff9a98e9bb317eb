#include "kernels/sketch/operator.h"

#include "core/error.h"
#include "kernels/check_arguments.h"

namespace panther {

void register_sketch_family(SketchRegistry& registry);  // generated from family/

SketchOperator::~SketchOperator() = default;

const SketchRegistry& sketch_operators() {
  static const SketchRegistry registry = [] {
    SketchRegistry result("sketch operator");
    register_sketch_family(result);
    return result;
  }();
  return registry;
}

std::unique_ptr<SketchOperator> make_sketch(const SketchSpec& spec) {
  constexpr std::int64_t limit = std::int64_t{1} << 32;
  const SketchFactory& factory = sketch_operators().at(spec.kind);
  PANTHER_REQUIRE(spec.rows >= 1 && spec.rows <= limit, spec.kind, " sketch '", spec.name, "': rows k must be in [1, 2^32], is ", spec.rows);
  PANTHER_REQUIRE(spec.columns >= 1 && spec.columns <= limit, spec.kind, " sketch '", spec.name, "': columns n must be in [1, 2^32], is ", spec.columns);
  return factory(spec);
}

void apply_row_split(const SketchOperator& sketch, const SketchContext& context, std::int64_t first_row, double alpha, const TensorView& a_local,
                     const TensorView& out_KC, const SumOverRanks& sum) {
  PANTHER_REQUIRE(a_local.dims == 2, "apply_row_split: a_local must have two dimensions, is ", check::describe(a_local));
  PANTHER_REQUIRE(!sum || out_KC.is_contiguous(), "apply_row_split: the sum over ranks needs a contiguous out, got ", check::describe(out_KC));
  sketch.apply(context, false, {.first_column = first_row, .columns = a_local.shape[0]}, alpha, a_local, 0.0, out_KC);
  if (sum) sum(out_KC);
}

}  // namespace panther
