#pragma once
// What every table of LapackKernels checks before it works: one dtype of f32 and f64, one device, column-major, shapes that fit.
#include <cstddef>
#include <cstdint>

#include "kernels/linalg/lapack_kernels.h"

namespace panther::linalg {

/// Column-major: strides[0] == 1 and strides[1] >= rows (a stride of a dimension with one entry does not matter). Throws InvalidArgument
/// naming `what`, shape and strides; also for dtypes other than f32 and f64 and for sizes that a 32-bit LAPACK cannot count.
void require_column_major(const TensorView& a, DeviceKind device, const char* what);
/// One dimension of at least `size` contiguous entries of `dtype`.
void require_vector(const TensorView& v, DType dtype, std::int64_t size, DeviceKind device, const char* what);

void check_gram(const TensorView& a_MN, const TensorView& g_NN, DeviceKind device);
void check_triangular(Side side, const TensorView& t_NN, const TensorView& b, DeviceKind device);
void check_square(const TensorView& a_NN, DeviceKind device, const char* what);
void check_qr(const TensorView& a_MN, const TensorView& tau_K, DeviceKind device);
void check_multiply_q(const TensorView& factored_MK, const TensorView& tau_K, const TensorView& b_MC, DeviceKind device);
void check_form_q(const TensorView& factored_MN, const TensorView& tau_K, DeviceKind device);
void check_reconstruct(const TensorView& q_MN, const TensorView& r_NN, const TensorView& tau_N, const TensorView& t_NN, DeviceKind device);
void check_svd(const TensorView& a_MN, const TensorView& u_MK, const TensorView& s_K, const TensorView& vt_KN, DeviceKind device);
void check_eigh(const TensorView& a_NN, const TensorView& w_N, DeviceKind device);
void check_gather(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, DeviceKind device);
void check_scatter(const TensorView& source, std::span<const std::int64_t> columns, const TensorView& destination, DeviceKind device);
/// At least min(M, N) (or N) entries on the host.
void check_host_size(std::size_t have, std::int64_t need, const char* what);

/// The distance between columns, at least 1 and at least the rows even where it is never used.
std::int64_t leading_dimension(const TensorView& a) noexcept;

}  // namespace panther::linalg
