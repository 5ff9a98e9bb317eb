// The CPU's LapackKernels over static OpenBLAS; no_lapack.cpp is its twin.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/lapack_columns.h"
#include "kernels/cpu/lapack_fortran.h"
#include "kernels/cpu/lapack_products.h"
#include "kernels/linalg/lapack_arguments.h"

namespace panther::cpu {
namespace {

int narrow(std::int64_t size) { return static_cast<int>(size); }  // checked by require_column_major
int leading(const TensorView& a) { return narrow(linalg::leading_dimension(a)); }

/// Everything that LAPACK calls an argument error is ours.
void require_done(const char* routine, int info) { PANTHER_CHECK(info == 0, routine, " returned info ", info); }

template <class Body>
void by_dtype(const TensorView& a, Body&& body) {
  if (a.dtype == DType::f64) return body(double{});
  body(float{});
}

/// Asks the routine for its scratch (lwork == -1), takes that, and calls it. The first entry of work holds the size in a floating number, which
/// f32 rounds beyond 2^24: one more unit in the last place is asked for.
template <class Real, class Call>
void with_scratch(Allocator& allocator, Stream stream, Call&& call) {
  Real best = 0;
  call(&best, -1);
  const double size = std::ceil(static_cast<double>(std::nextafter(best, best * 2 + 1)));
  PANTHER_REQUIRE(size < 2147483647.0, "LAPACK's scratch of ", size, " entries is more than 32-bit integers count");
  Workspace work(allocator, static_cast<std::size_t>(std::max(size, 1.0)) * sizeof(Real), Device{}, stream);
  call(static_cast<Real*>(work.data()), static_cast<int>(std::max(size, 1.0)));
}

std::int64_t cholesky(const TensorView& a_NN, Allocator&, Stream) {
  linalg::check_square(a_NN, DeviceKind::cpu, "cholesky: a");
  if (a_NN.numel() == 0) return 0;
  const int n = narrow(a_NN.shape[0]), lda = leading(a_NN);
  int info = 0;
  by_dtype(a_NN, [&](auto real) { Lapack<decltype(real)>::potrf("U", &n, a_NN.as<decltype(real)>(), &lda, &info, 1); });
  PANTHER_CHECK(info >= 0, "potrf returned info ", info);
  return info;
}

void qr(const TensorView& a_MN, const TensorView& tau_K, Allocator& allocator, Stream stream) {
  linalg::check_qr(a_MN, tau_K, DeviceKind::cpu);
  if (a_MN.numel() == 0) return;
  const int m = narrow(a_MN.shape[0]), n = narrow(a_MN.shape[1]), lda = leading(a_MN);
  by_dtype(a_MN, [&](auto real) {
    using Real = decltype(real);
    with_scratch<Real>(allocator, stream, [&](Real* work, int size) {
      int info = 0;
      Lapack<Real>::geqrf(&m, &n, a_MN.as<Real>(), &lda, tau_K.as<Real>(), work, &size, &info);
      require_done("geqrf", info);
    });
  });
}

void qr_pivoted(const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots_N, Allocator& allocator, Stream stream) {
  linalg::check_qr(a_MN, tau_K, DeviceKind::cpu);
  const std::int64_t columns = a_MN.shape[1];
  linalg::check_host_size(pivots_N.size(), columns, "qr_pivoted: pivots");
  for (std::int64_t j = 0; j < columns; ++j) pivots_N[static_cast<std::size_t>(j)] = j;
  if (a_MN.numel() == 0) return;
  const int m = narrow(a_MN.shape[0]), n = narrow(columns), lda = leading(a_MN);
  Workspace memory(allocator, static_cast<std::size_t>(columns) * sizeof(int), Device{}, stream);
  int* pivots = static_cast<int*>(memory.data());
  std::fill_n(pivots, columns, 0);  // every column is free to move
  by_dtype(a_MN, [&](auto real) {
    using Real = decltype(real);
    with_scratch<Real>(allocator, stream, [&](Real* work, int size) {
      int info = 0;
      Lapack<Real>::geqp3(&m, &n, a_MN.as<Real>(), &lda, pivots, tau_K.as<Real>(), work, &size, &info);
      require_done("geqp3", info);
    });
  });
  for (std::int64_t j = 0; j < columns; ++j) pivots_N[static_cast<std::size_t>(j)] = pivots[j] - 1;
}

void multiply_q(bool transpose, const TensorView& factored_MK, const TensorView& tau_K, const TensorView& b_MC, Allocator& allocator, Stream stream) {
  linalg::check_multiply_q(factored_MK, tau_K, b_MC, DeviceKind::cpu);
  const int m = narrow(b_MC.shape[0]), n = narrow(b_MC.shape[1]), k = std::min(m, narrow(factored_MK.shape[1])), lda = leading(factored_MK), ldb = leading(b_MC);
  if (m == 0 || n == 0 || k == 0) return;
  by_dtype(b_MC, [&](auto real) {
    using Real = decltype(real);
    with_scratch<Real>(allocator, stream, [&](Real* work, int size) {
      int info = 0;
      Lapack<Real>::ormqr("L", transpose ? "T" : "N", &m, &n, &k, factored_MK.as<const Real>(), &lda, tau_K.as<const Real>(), b_MC.as<Real>(), &ldb, work,
                          &size, &info, 1, 1);
      require_done("ormqr", info);
    });
  });
}

void form_q(const TensorView& factored_MN, const TensorView& tau_K, Allocator& allocator, Stream stream) {
  linalg::check_form_q(factored_MN, tau_K, DeviceKind::cpu);
  if (factored_MN.numel() == 0) return;
  const int m = narrow(factored_MN.shape[0]), n = narrow(factored_MN.shape[1]), k = narrow(tau_K.shape[0]), lda = leading(factored_MN);
  by_dtype(factored_MN, [&](auto real) {
    using Real = decltype(real);
    with_scratch<Real>(allocator, stream, [&](Real* work, int size) {
      int info = 0;
      Lapack<Real>::orgqr(&m, &n, &k, factored_MN.as<Real>(), &lda, tau_K.as<const Real>(), work, &size, &info);
      require_done("orgqr", info);
    });
  });
}

void reconstruct_q(const TensorView& q_MN, const TensorView& r_NN, const TensorView& tau_N, const TensorView& t_NN, Allocator& allocator,
                   Stream stream) {
  linalg::check_reconstruct(q_MN, r_NN, tau_N, t_NN, DeviceKind::cpu);
  if (q_MN.shape[1] == 0) return;
  const int m = narrow(q_MN.shape[0]), n = narrow(q_MN.shape[1]), ldq = leading(q_MN), ldr = leading(r_NN), ldt = leading(t_NN);
  by_dtype(q_MN, [&](auto real) {
    using Real = decltype(real);
    Workspace memory(allocator, static_cast<std::size_t>(n) * sizeof(Real), Device{}, stream);
    Real *signs = static_cast<Real*>(memory.data()), *q = q_MN.as<Real>(), *t = t_NN.as<Real>(), *tau = tau_N.as<Real>();
    const Real* r = r_NN.as<const Real>();
    int info = 0;
    Lapack<Real>::orhr_col(&m, &n, &n, q, &ldq, t, &ldt, signs, &info);
    require_done("orhr_col", info);
    for (std::int64_t j = 0; j < n; ++j) {
      tau[j] = t[j + j * ldt];
      for (std::int64_t i = 0; i <= j; ++i) q[i + j * ldq] = signs[i] * r[i + j * ldr];
      std::fill(t + j + 1 + j * ldt, t + n + j * ldt, Real{0});
    }
  });
}

void lu(const TensorView& a_MN, std::span<std::int64_t> swaps_K, Allocator& allocator, Stream stream) {
  linalg::require_column_major(a_MN, DeviceKind::cpu, "lu: a");
  const std::int64_t least = std::min(a_MN.shape[0], a_MN.shape[1]);
  linalg::check_host_size(swaps_K.size(), least, "lu: swaps");
  if (least == 0) return;
  const int m = narrow(a_MN.shape[0]), n = narrow(a_MN.shape[1]), lda = leading(a_MN);
  Workspace memory(allocator, static_cast<std::size_t>(least) * sizeof(int), Device{}, stream);
  int* swaps = static_cast<int*>(memory.data());
  int info = 0;
  by_dtype(a_MN, [&](auto real) { Lapack<decltype(real)>::getrf(&m, &n, a_MN.as<decltype(real)>(), &lda, swaps, &info); });
  PANTHER_CHECK(info >= 0, "getrf returned info ", info);
  for (std::int64_t i = 0; i < least; ++i) swaps_K[static_cast<std::size_t>(i)] = swaps[i] - 1;
}

void svd(const TensorView& a_MN, const TensorView& u_MK, const TensorView& s_K, const TensorView& vt_KN, Allocator& allocator, Stream stream) {
  linalg::check_svd(a_MN, u_MK, s_K, vt_KN, DeviceKind::cpu);
  if (a_MN.numel() == 0) return;
  const bool vectors = u_MK.data != nullptr;
  const int m = narrow(a_MN.shape[0]), n = narrow(a_MN.shape[1]), least = std::min(m, n), lda = leading(a_MN);
  const int ldu = vectors ? leading(u_MK) : 1, ldvt = vectors ? leading(vt_KN) : 1;
  Workspace memory(allocator, static_cast<std::size_t>(least) * 8 * sizeof(int), Device{}, stream);
  by_dtype(a_MN, [&](auto real) {
    using Real = decltype(real);
    with_scratch<Real>(allocator, stream, [&](Real* work, int size) {
      int info = 0;
      Lapack<Real>::gesdd(vectors ? "S" : "N", &m, &n, a_MN.as<Real>(), &lda, s_K.as<Real>(), u_MK.as<Real>(), &ldu, vt_KN.as<Real>(), &ldvt, work, &size,
                          static_cast<int*>(memory.data()), &info, 1);
      PANTHER_CHECK(info <= 0, "the SVD of ", m, " x ", n, " did not converge: gesdd returned info ", info);
      PANTHER_REQUIRE(info != -4, "the SVD of ", m, " x ", n, ": the matrix holds nan or infinity");
      require_done("gesdd", info);
    });
  });
}

void eigh(const TensorView& a_NN, const TensorView& w_N, Allocator& allocator, Stream stream) {
  linalg::check_eigh(a_NN, w_N, DeviceKind::cpu);
  if (a_NN.numel() == 0) return;
  const int n = narrow(a_NN.shape[0]), lda = leading(a_NN), integers = 3 + 5 * n;
  Workspace memory(allocator, static_cast<std::size_t>(integers) * sizeof(int), Device{}, stream);
  by_dtype(a_NN, [&](auto real) {
    using Real = decltype(real);
    with_scratch<Real>(allocator, stream, [&](Real* work, int size) {
      int info = 0;
      Lapack<Real>::syevd("V", "U", &n, a_NN.as<Real>(), &lda, w_N.as<Real>(), work, &size, static_cast<int*>(memory.data()), &integers, &info, 1, 1);
      PANTHER_CHECK(info <= 0, "the eigenvalues of ", n, " x ", n, " did not converge: syevd returned info ", info);
      require_done("syevd", info);
    });
  });
}

}  // namespace

const LapackKernels* lapack_kernels() {
  static constexpr LapackKernels table{.gram = gram,
                                       .solve_upper = solve_upper,
                                       .divide_by_pivoted = divide_by_pivoted,
                                       .multiply_upper = multiply_upper,
                                       .cholesky = cholesky,
                                       .qr = qr,
                                       .qr_pivoted = qr_pivoted,
                                       .multiply_q = multiply_q,
                                       .form_q = form_q,
                                       .reconstruct_q = reconstruct_q,
                                       .lu = lu,
                                       .svd = svd,
                                       .eigh = eigh,
                                       .gather_columns = gather_columns,
                                       .scatter_columns = scatter_columns,
                                       .column_norms = column_norms,
                                       .fill = fill,
                                       .all_finite = all_finite};
  return &table;
}

}  // namespace panther::cpu
