#include "kernels/linear/check_linear.h"

#include "core/error.h"
#include "kernels/check_arguments.h"

namespace panther::check {
namespace {

void require_matrix(const char* entry, const char* what, const TensorView& view, std::int64_t rows, std::int64_t columns, DType dtype) {
  PANTHER_REQUIRE(view.dims == 2 && view.shape[0] == rows && view.shape[1] == columns && view.dtype == dtype, entry, ": ", what, " must be ",
                  dtype_name(dtype), "[", rows, ", ", columns, "], is ", describe(view));
}

void require_vector(const char* entry, const char* what, const TensorView& view, std::int64_t size, DType dtype) {
  PANTHER_REQUIRE(view.dims == 1 && view.shape[0] == size && view.dtype == dtype, entry, ": ", what, " must be ", dtype_name(dtype), "[", size, "], is ",
                  describe(view));
}

void require_rows(const char* entry, const ValueRows& part, std::int64_t length) {
  if (part.rows == 0) return;
  if (part.stored_NL.data != nullptr) {
    PANTHER_REQUIRE(part.stored_NL.dims == 2 && part.stored_NL.shape[0] == part.rows && part.stored_NL.shape[1] == length && is_floating(part.stored_NL.dtype),
                    entry, ": stored rows must be floating [", part.rows, ", ", length, "], are ", describe(part.stored_NL));
  } else if (part.bits_NW.data != nullptr) {
    bits(part.bits_NW);
    PANTHER_REQUIRE(part.bits_NW.shape[0] == part.rows && part.bits_NW.shape[1] == sign_words(length), entry, ": bits of ", part.rows, " vectors of ", length,
                    " signs must be i32[", part.rows, ", ", sign_words(length), "], are ", describe(part.bits_NW));
  }
}

}  // namespace

void bits(const TensorView& bits_NW) {
  PANTHER_REQUIRE(bits_NW.dims == 2 && bits_NW.dtype == DType::i32 && bits_NW.shape[1] % 4 == 0 && (bits_NW.shape[1] == 0 || bits_NW.strides[1] == 1),
                  "sign bits must be i32 [vectors, words] with contiguous rows and a multiple of 4 words, are ", describe(bits_NW));
}

void rows(const StackedRows& rows, std::int64_t length, const char* entry) {
  require_rows(entry, rows.top, length);
  require_rows(entry, rows.bottom, length);
}

void project(const TensorView& x_BL, const StackedRows& rows_NL, const TensorView& out_BN) {
  PANTHER_REQUIRE(x_BL.dims == 2 && is_floating(x_BL.dtype), "project: x must be a floating matrix, is ", describe(x_BL));
  rows(rows_NL, x_BL.shape[1], "project");
  require_matrix("project", "out", out_BN, x_BL.shape[0], rows_NL.rows(), x_BL.dtype);
}

void combine(const TensorView& h_BN, const StackedRows& rows_NL, const TensorView& out_BL, const LinearEpilogue& epilogue) {
  PANTHER_REQUIRE(out_BL.dims == 2 && is_floating(out_BL.dtype), "combine: out must be a floating matrix, is ", describe(out_BL));
  rows(rows_NL, out_BL.shape[1], "combine");
  require_matrix("combine", "h", h_BN, out_BL.shape[0], rows_NL.rows(), out_BL.dtype);
  if (epilogue.bias_O.data != nullptr) require_vector("combine", "bias", epilogue.bias_O, out_BL.shape[1], out_BL.dtype);
  if (epilogue.aux_BO.data != nullptr) require_matrix("combine", "aux", epilogue.aux_BO, out_BL.shape[0], out_BL.shape[1], out_BL.dtype);
}

void activation_backward(const ActivationGradient& g) {
  PANTHER_REQUIRE(g.dy_BO.dims == 2 && is_floating(g.dy_BO.dtype), "activation_backward: dy must be a floating matrix, is ", describe(g.dy_BO));
  const std::int64_t rows = g.dy_BO.shape[0], columns = g.dy_BO.shape[1];
  if (g.activation != Activation::none) require_matrix("activation_backward", "aux", g.aux_BO, rows, columns, g.dy_BO.dtype);
  if (g.dz_BO.data != nullptr) require_matrix("activation_backward", "dz", g.dz_BO, rows, columns, g.dy_BO.dtype);
  if (g.dbias_O.data != nullptr) require_vector("activation_backward", "dbias", g.dbias_O, columns, g.dy_BO.dtype);
}

}  // namespace panther::check
