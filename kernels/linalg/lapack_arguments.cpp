#include "kernels/linalg/lapack_arguments.h"

#include <algorithm>
#include <limits>

#include "core/error.h"

namespace panther::linalg {
namespace {

bool real(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

void require_one_dtype(const TensorView& a, const TensorView& b, const char* what) {
  PANTHER_REQUIRE(a.dtype == b.dtype, what, ": one dtype, but they are ", dtype_name(a.dtype), " and ", dtype_name(b.dtype));
}

/// `columns` names columns of `many`, one for each of `few`.
void check_moved_columns(const char* what, const TensorView& many, std::span<const std::int64_t> columns, const TensorView& few, DeviceKind device) {
  require_column_major(many, device, what);
  require_column_major(few, device, what);
  require_one_dtype(many, few, what);
  PANTHER_REQUIRE(few.shape[0] == many.shape[0] && few.shape[1] == static_cast<std::int64_t>(columns.size()), what, ": ", columns.size(), " columns of ",
                  many.shape[0], " rows do not fit to ", few.shape[0], " x ", few.shape[1]);
  for (const std::int64_t column : columns) PANTHER_REQUIRE(column >= 0 && column < many.shape[1], what, ": column ", column, " of ", many.shape[1]);
}

}  // namespace

std::int64_t leading_dimension(const TensorView& a) noexcept {
  const std::int64_t least = std::max<std::int64_t>(a.shape[0], 1);
  return a.shape[1] <= 1 ? least : std::max(a.strides[1], least);
}

void require_column_major(const TensorView& a, DeviceKind device, const char* what) {
  PANTHER_REQUIRE(a.dims == 2, what, " must be a matrix, not of ", a.dims, " dimensions");
  PANTHER_REQUIRE(real(a.dtype), what, " must be f32 or f64, not ", dtype_name(a.dtype));
  PANTHER_REQUIRE(a.device.kind == device, what, " lies on another device than the kernels");
  const std::int64_t rows = a.shape[0], columns = a.shape[1];
  constexpr std::int64_t limit = std::numeric_limits<std::int32_t>::max();
  PANTHER_REQUIRE(rows <= limit && columns <= limit && (columns <= 1 || a.strides[1] <= limit), what, " of ", rows, " x ", columns,
                  " is more than LAPACK's 32-bit integers count");
  PANTHER_REQUIRE((rows <= 1 || a.strides[0] == 1) && (columns <= 1 || a.strides[1] >= rows || rows == 0), what, " of ", rows, " x ", columns,
                  " must be column-major; its strides are ", a.strides[0], ", ", a.strides[1], ": copy it first");
}

void require_vector(const TensorView& v, DType dtype, std::int64_t size, DeviceKind device, const char* what) {
  PANTHER_REQUIRE(v.dtype == dtype && v.device.kind == device, what, " must be ", dtype_name(dtype), " on the device of the kernels");
  const std::int64_t have = v.dims == 1 || (v.dims == 2 && v.shape[1] == 1) ? v.shape[0] : -1;
  PANTHER_REQUIRE(have >= size && (have <= 1 || v.strides[0] == 1), what, " must be ", size, " contiguous entries; it has ", have);
}

void check_host_size(std::size_t have, std::int64_t need, const char* what) {
  PANTHER_REQUIRE(static_cast<std::int64_t>(have) >= need, what, " needs ", need, " entries and has ", have);
}

void check_square(const TensorView& a_NN, DeviceKind device, const char* what) {
  require_column_major(a_NN, device, what);
  PANTHER_REQUIRE(a_NN.shape[0] == a_NN.shape[1], what, " must be square, not ", a_NN.shape[0], " x ", a_NN.shape[1]);
}

void check_gram(const TensorView& a_MN, const TensorView& g_NN, DeviceKind device) {
  require_column_major(a_MN, device, "gram: a");
  check_square(g_NN, device, "gram: g");
  PANTHER_REQUIRE(g_NN.shape[0] == a_MN.shape[1], "gram of ", a_MN.shape[0], " x ", a_MN.shape[1], " does not fit into ", g_NN.shape[0], " columns");
  PANTHER_REQUIRE(g_NN.dtype == a_MN.dtype || g_NN.dtype == DType::f64, "gram of f64 must be f64");
}

void check_triangular(Side side, const TensorView& t_NN, const TensorView& b, DeviceKind device) {
  check_square(t_NN, device, "the triangle");
  require_column_major(b, device, "the triangle's other side");
  require_one_dtype(t_NN, b, "a triangle and its other side");
  const std::int64_t size = b.shape[side == Side::left ? 0 : 1];
  PANTHER_REQUIRE(t_NN.shape[0] == size, "a triangle of ", t_NN.shape[0], " does not fit to ", b.shape[0], " x ", b.shape[1]);
}

void check_qr(const TensorView& a_MN, const TensorView& tau_K, DeviceKind device) {
  require_column_major(a_MN, device, "qr: a");
  require_vector(tau_K, a_MN.dtype, std::min(a_MN.shape[0], a_MN.shape[1]), device, "qr: tau");
}

void check_multiply_q(const TensorView& factored_MK, const TensorView& tau_K, const TensorView& b_MC, DeviceKind device) {
  require_column_major(factored_MK, device, "multiply_q: the reflectors");
  require_column_major(b_MC, device, "multiply_q: b");
  require_one_dtype(factored_MK, b_MC, "multiply_q: reflectors and b");
  require_vector(tau_K, b_MC.dtype, std::min(factored_MK.shape[0], factored_MK.shape[1]), device, "multiply_q: tau");
  PANTHER_REQUIRE(factored_MK.shape[0] == b_MC.shape[0], "multiply_q: reflectors of ", factored_MK.shape[0], " rows and b of ", b_MC.shape[0]);
}

void check_form_q(const TensorView& factored_MN, const TensorView& tau_K, DeviceKind device) {
  require_column_major(factored_MN, device, "form_q: the reflectors");
  PANTHER_REQUIRE(tau_K.dims >= 1, "form_q: tau must be a vector");
  require_vector(tau_K, factored_MN.dtype, tau_K.shape[0], device, "form_q: tau");
  PANTHER_REQUIRE(factored_MN.shape[0] >= factored_MN.shape[1] && factored_MN.shape[1] >= tau_K.shape[0], "form_q: ", factored_MN.shape[0], " x ",
                  factored_MN.shape[1], " with ", tau_K.shape[0], " reflectors: rows >= columns >= reflectors must hold");
}

void check_reconstruct(const TensorView& q_MN, const TensorView& r_NN, const TensorView& tau_N, const TensorView& t_NN, DeviceKind device) {
  require_column_major(q_MN, device, "reconstruct_q: q");
  const std::int64_t columns = q_MN.shape[1];
  PANTHER_REQUIRE(q_MN.shape[0] >= columns, "reconstruct_q: q of ", q_MN.shape[0], " x ", columns, " has more columns than rows");
  for (const TensorView& square : {r_NN, t_NN}) {
    check_square(square, device, "reconstruct_q: r and t");
    require_one_dtype(q_MN, square, "reconstruct_q: q, r and t");
    PANTHER_REQUIRE(square.shape[0] == columns, "reconstruct_q: r and t must have ", columns, " columns, not ", square.shape[0]);
  }
  require_vector(tau_N, q_MN.dtype, columns, device, "reconstruct_q: tau");
}

void check_svd(const TensorView& a_MN, const TensorView& u_MK, const TensorView& s_K, const TensorView& vt_KN, DeviceKind device) {
  require_column_major(a_MN, device, "svd: a");
  const std::int64_t rows = a_MN.shape[0], columns = a_MN.shape[1], least = std::min(rows, columns);
  require_vector(s_K, a_MN.dtype, least, device, "svd: s");
  PANTHER_REQUIRE((u_MK.data == nullptr) == (vt_KN.data == nullptr) || least == 0, "svd: u and vt are wanted together or not at all");
  if (u_MK.data == nullptr || least == 0) return;
  require_column_major(u_MK, device, "svd: u");
  require_column_major(vt_KN, device, "svd: vt");
  PANTHER_REQUIRE(u_MK.shape[0] == rows && u_MK.shape[1] == least && vt_KN.shape[0] == least && vt_KN.shape[1] == columns, "svd of ", rows, " x ",
                  columns, ": u must be ", rows, " x ", least, " and vt ", least, " x ", columns);
  require_one_dtype(a_MN, u_MK, "svd: a and u");
  require_one_dtype(a_MN, vt_KN, "svd: a and vt");
}

void check_eigh(const TensorView& a_NN, const TensorView& w_N, DeviceKind device) {
  check_square(a_NN, device, "eigh: a");
  require_vector(w_N, a_NN.dtype, a_NN.shape[0], device, "eigh: w");
}

void check_gather(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, DeviceKind device) {
  check_moved_columns("gather_columns", source, columns, destination, device);
}

void check_scatter(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, DeviceKind device) {
  check_moved_columns("scatter_columns", destination, columns, source, device);
}

}  // namespace panther::linalg
