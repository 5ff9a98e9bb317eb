// CUDA's LapackKernels: triangles and Gram matrices by cuBLAS, factorizations by cuSOLVER, one handle of each per device. Calls that need a
// status wait for the stream. Column pivoting (on the host where a matrix is too large for it) and the LU of reconstruct_q are our own: cuSOLVER has neither.
#include <cublas_v2.h>
#include <cusolverDn.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/entries.h"
#include "kernels/cuda/hopper/narrow_product.h"
#include "kernels/cuda/lapack_columns.h"
#include "kernels/cuda/pivoted_qr.h"
#include "kernels/cuda/signed_lu.h"
#include "kernels/cuda/small_cholesky.h"
#include "kernels/linalg/blocks.h"
#include "kernels/linalg/lapack_arguments.h"
#include "kernels/matrix.h"

namespace panther::cuda {
namespace {

void check_blas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail(status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCode::OutOfMemory : ErrorCode::DeviceFault, what, ": ", cublasGetStatusString(status));
}

void check_solver(cusolverStatus_t status, const char* what) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  fail(status == CUSOLVER_STATUS_ALLOC_FAILED ? ErrorCode::OutOfMemory : ErrorCode::DeviceFault, what, ": cuSOLVER status ", static_cast<int>(status));
}

/// The libraries' handles of one device. A handle serves one stream at a time, so its user holds the lock while calls are enqueued. Handles live
/// as long as the process: at exit the driver may already be gone.
struct Handles {
  std::mutex mutex;
  cublasHandle_t blas = nullptr;
  cusolverDnHandle_t solver = nullptr;
};

Handles& handles_of(int device) {
  static std::mutex mutex;
  static std::map<int, Handles>& all = *new std::map<int, Handles>;
  const std::lock_guard lock(mutex);
  Handles& handles = all[device];
  if (handles.blas == nullptr) check_blas(cublasCreate(&handles.blas), "cublasCreate");
  if (handles.solver == nullptr) check_solver(cusolverDnCreate(&handles.solver), "cusolverDnCreate");
  return handles;
}

/// The device current, its handles locked and on the stream.
class Session {
 public:
  Session(const TensorView& a, Stream stream) : scope_(a.device.index), handles_(handles_of(a.device.index)), lock_(handles_.mutex) {
    check_blas(cublasSetStream(handles_.blas, native(stream)), "cublasSetStream");
    check_solver(cusolverDnSetStream(handles_.solver, native(stream)), "cusolverDnSetStream");
  }
  cublasHandle_t blas() const { return handles_.blas; }
  cusolverDnHandle_t solver() const { return handles_.solver; }

 private:
  DeviceScope scope_;
  Handles& handles_;
  std::lock_guard<std::mutex> lock_;
};

template <class Real>
struct Vendor;

#define PANTHER_VENDOR_OF(P, Real)                                      \
  template <>                                                           \
  struct Vendor<Real> {                                                 \
    static constexpr auto syrk = cublas##P##syrk;                       \
    static constexpr auto gemm = cublas##P##gemm;                       \
    static constexpr auto gemms = cublas##P##gemmStridedBatched;        \
    static constexpr auto trsm = cublas##P##trsm;                       \
    static constexpr auto trmm = cublas##P##trmm;                       \
    static constexpr auto potrf_size = cusolverDn##P##potrf_bufferSize; \
    static constexpr auto potrf = cusolverDn##P##potrf;                 \
    static constexpr auto geqrf_size = cusolverDn##P##geqrf_bufferSize; \
    static constexpr auto geqrf = cusolverDn##P##geqrf;                 \
    static constexpr auto ormqr_size = cusolverDn##P##ormqr_bufferSize; \
    static constexpr auto ormqr = cusolverDn##P##ormqr;                 \
    static constexpr auto orgqr_size = cusolverDn##P##orgqr_bufferSize; \
    static constexpr auto orgqr = cusolverDn##P##orgqr;                 \
    static constexpr auto getrf_size = cusolverDn##P##getrf_bufferSize; \
    static constexpr auto getrf = cusolverDn##P##getrf;                 \
    static constexpr auto gesvd_size = cusolverDn##P##gesvd_bufferSize; \
    static constexpr auto gesvd = cusolverDn##P##gesvd;                 \
    static constexpr auto syevd_size = cusolverDn##P##syevd_bufferSize; \
    static constexpr auto syevd = cusolverDn##P##syevd;                 \
  };
PANTHER_VENDOR_OF(S, float)
PANTHER_VENDOR_OF(D, double)
#undef PANTHER_VENDOR_OF

int narrow(std::int64_t size) { return static_cast<int>(size); }  // checked by require_column_major
int leading(const TensorView& a) { return narrow(linalg::leading_dimension(a)); }

template <class Body>
void by_dtype(const TensorView& a, Body&& body) {
  if (a.dtype == DType::f64) return body(double{});
  body(float{});
}

/// cuSOLVER's scratch and the word where it reports.
template <class Real>
class Scratch {
 public:
  Scratch(Allocator& allocator, const TensorView& a, Stream stream, int size)
      : stream_(stream), work_(allocator, static_cast<std::size_t>(std::max(size, 1)) * sizeof(Real), a.device, stream),
        info_(allocator, sizeof(int), a.device, stream) {}
  Real* work() const { return static_cast<Real*>(work_.data()); }
  int* info() const { return static_cast<int*>(info_.data()); }
  /// Waits.
  int report() const {
    int value = 0;
    copy_async(&value, info_.data(), sizeof(int), stream_);
    stream_synchronize(stream_);
    return value;
  }

 private:
  Stream stream_;
  Workspace work_, info_;
};

/// A column-major copy on the host, or back. Waits.
Matrix to_host(const TensorView& a, Stream stream) {
  Matrix copy(plain_allocator(), Device{}, Stream{}, a.dtype, a.shape[0], a.shape[1]);
  const std::size_t width = static_cast<std::size_t>(a.shape[0]) * size_of(a.dtype), pitch = static_cast<std::size_t>(leading(a)) * size_of(a.dtype);
  if (copy.empty()) return copy;
  check_status(cudaMemcpy2DAsync(copy.view().data, width, a.data, pitch, width, static_cast<std::size_t>(a.shape[1]), cudaMemcpyDefault, native(stream)),
               "cudaMemcpy2DAsync");
  stream_synchronize(stream);
  return copy;
}

void to_device(const Matrix& host, const TensorView& a, Stream stream) {
  const std::size_t width = static_cast<std::size_t>(a.shape[0]) * size_of(a.dtype), pitch = static_cast<std::size_t>(leading(a)) * size_of(a.dtype);
  if (host.empty()) return;
  check_status(cudaMemcpy2DAsync(a.data, pitch, host.view().data, width, width, static_cast<std::size_t>(a.shape[1]), cudaMemcpyDefault, native(stream)),
               "cudaMemcpy2DAsync");
  stream_synchronize(stream);
}

TensorView as_column(const TensorView& vector) {
  TensorView column = vector;
  column.dims = 2;
  column.shape[1] = 1;
  column.strides[1] = std::max<std::int64_t>(vector.shape[0], 1);
  return column;
}

template <class Real>
void add_syrk(const TensorView& a_MN, Real beta, const TensorView& g_NN, Stream stream) {
  const Session session(a_MN, stream);
  const Real one = 1;
  check_blas(Vendor<Real>::syrk(session.blas(), CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_T, narrow(a_MN.shape[1]), narrow(a_MN.shape[0]), &one,
                                a_MN.as<const Real>(), leading(a_MN), &beta, g_NN.as<Real>(), leading(g_NN)),
             "cublas syrk");
}

/// cuBLAS' syrk gives few columns few thread blocks, however many rows there are: products of panels of rows, added up in order.
constexpr std::int64_t kPanelledGramColumns = 256, kGramPanels = 32, kLeastPanelRows = 256;

bool add_gram_of_panels(const TensorView& a_MN, double beta, const TensorView& g_NN, Allocator& allocator, Stream stream) {
  const std::int64_t rows = a_MN.shape[0], columns = a_MN.shape[1], panels = std::min(kGramPanels, rows / kLeastPanelRows);
  if (columns > kPanelledGramColumns || panels < 4) return false;
  const std::int64_t height = rows / panels, rest = rows - height * panels, parts = panels + (rest > 0 ? 1 : 0);
  const Workspace memory(allocator, static_cast<std::size_t>(parts * columns * columns) * size_of(a_MN.dtype), a_MN.device, stream);
  const Session session(a_MN, stream);
  by_dtype(a_MN, [&](auto real) {
    using Real = decltype(real);
    const Real one = 1, zero = 0;
    auto* part = static_cast<Real*>(memory.data());
    const auto multiply = [&](std::int64_t first, std::int64_t count, std::int64_t batch, Real* out) {
      const Real* a = a_MN.as<const Real>() + first;
      check_blas(Vendor<Real>::gemms(session.blas(), CUBLAS_OP_T, CUBLAS_OP_N, narrow(columns), narrow(columns), narrow(count), &one, a, leading(a_MN), count, a, leading(a_MN),
                                     count, &zero, out, narrow(columns), columns * columns, narrow(batch)),
                 "cublas gemmStridedBatched");
    };
    multiply(0, height, panels, part);
    if (rest > 0) multiply(height * panels, rest, 1, part + panels * columns * columns);
  });
  add_parts(memory.data(), parts, beta, g_NN, stream);
  return true;
}

constexpr std::int64_t kConvertedEntries = std::int64_t{1} << 25;  ///< 256 MiB of f64 at a time

void gram(const TensorView& a_MN, const TensorView& g_NN, Allocator& allocator, Stream stream) {
  linalg::check_gram(a_MN, g_NN, DeviceKind::cuda);
  const std::int64_t rows = a_MN.shape[0], columns = a_MN.shape[1];
  if (columns == 0) return;
  if (rows == 0) return fill('A', 0, 0, g_NN, stream);
  if (a_MN.dtype == g_NN.dtype) {
    if (add_gram_of_panels(a_MN, 0, g_NN, allocator, stream)) return;
    by_dtype(a_MN, [&](auto real) { add_syrk<decltype(real)>(a_MN, 0, g_NN, stream); });
    return mirror_upper(g_NN, stream);
  }
  const std::int64_t height = std::min(rows, std::max<std::int64_t>(kConvertedEntries / columns, 1));
  const Matrix panel(allocator, a_MN.device, stream, DType::f64, height, columns);
  for (std::int64_t first = 0; first < rows; first += height) {
    const std::int64_t count = std::min(height, rows - first);
    const TensorView part = panel.block(0, count, 0, columns);
    cast(a_MN.slice(first, count), part, stream);
    const double beta = first == 0 ? 0.0 : 1.0;
    if (!add_gram_of_panels(part, beta, g_NN, allocator, stream)) add_syrk<double>(part, beta, g_NN, stream);
  }
  mirror_upper(g_NN, stream);
}

void solve_upper(Side side, bool transpose, double alpha, const TensorView& t_NN, const TensorView& b, Allocator&, Stream stream) {
  linalg::check_triangular(side, t_NN, b, DeviceKind::cuda);
  if (b.numel() == 0) return;
  const Session session(b, stream);
  by_dtype(b, [&](auto real) {
    using Real = decltype(real);
    const Real factor = static_cast<Real>(alpha);
    check_blas(Vendor<Real>::trsm(session.blas(), side == Side::left ? CUBLAS_SIDE_LEFT : CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER,
                                  transpose ? CUBLAS_OP_T : CUBLAS_OP_N, CUBLAS_DIAG_NON_UNIT, narrow(b.shape[0]), narrow(b.shape[1]), &factor,
                                  t_NN.as<const Real>(), leading(t_NN), b.as<Real>(), leading(b)),
               "cublas trsm");
  });
}

/// c = alpha a b + beta c of column-major views, in full precision whatever set_cuda_tf32() says.
void multiply(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, Stream stream) {
  if (c_MN.numel() == 0) return;
  const Session session(c_MN, stream);
  by_dtype(c_MN, [&](auto real) {
    using Real = decltype(real);
    const Real scale = static_cast<Real>(alpha), old = static_cast<Real>(beta);
    check_blas(Vendor<Real>::gemm(session.blas(), CUBLAS_OP_N, CUBLAS_OP_N, narrow(c_MN.shape[0]), narrow(c_MN.shape[1]), narrow(a_MK.shape[1]), &scale, a_MK.as<const Real>(),
                                  leading(a_MK), b_KN.as<const Real>(), leading(b_KN), &old, c_MN.as<Real>(), leading(c_MN)),
               "cublas gemm");
  });
}

/// cuBLAS' triangular solve of many rows reaches a fifth of its products' rate (H200, f64).
constexpr std::int64_t kTallSolveRows = 16384, kSolveBlock = 128, kSolvePanelRows = 65536;

/// Blocks of columns one after the other, each less what those before it gave, times the inverse of its diagonal block; a panel of rows at a time. Inverses
/// from the right: b (X R - 1) is bounded by what X R - 1 is.
void divide_by_pivoted(const TensorView& r_NN, const TensorView& b_MN, Allocator& allocator, Stream stream) {
  const std::int64_t rows = b_MN.shape[0], columns = b_MN.shape[1], panel = std::min(kSolvePanelRows, rows);
  if (rows < kTallSolveRows || columns < 2 * kSolveBlock) return solve_upper(Side::right, false, 1, r_NN, b_MN, allocator, stream);
  linalg::check_triangular(Side::right, r_NN, b_MN, DeviceKind::cuda);
  const Matrix inverses(allocator, b_MN.device, stream, b_MN.dtype, kSolveBlock, columns), product(allocator, b_MN.device, stream, b_MN.dtype, panel, kSolveBlock);
  const auto width_at = [&](std::int64_t first) { return std::min(kSolveBlock, columns - first); };
  const auto inverse_at = [&](std::int64_t first) { return inverses.block(0, width_at(first), first, width_at(first)); };
  for (std::int64_t first = 0; first < columns; first += kSolveBlock) {
    fill('A', 0, 1, inverse_at(first), stream);
    solve_upper(Side::right, false, 1, linalg::block(r_NN, first, width_at(first), first, width_at(first)), inverse_at(first), allocator, stream);
  }
  for (std::int64_t top = 0; top < rows; top += panel) {
    const TensorView part = b_MN.slice(top, std::min(panel, rows - top));
    for (std::int64_t first = 0; first < columns; first += kSolveBlock) {
      const std::int64_t width = width_at(first);
      const TensorView here = linalg::columns(part, first, width), made = product.block(0, part.shape[0], 0, width);
      if (first > 0) multiply(-1, linalg::columns(part, 0, first), linalg::block(r_NN, 0, first, first, width), 1, here, stream);
      multiply(1, here, inverse_at(first), 0, made, stream);
      cast(made.transposed(), here.transposed(), stream);
    }
  }
}

void multiply_upper(Side side, bool transpose, const TensorView& t_NN, const TensorView& b, Allocator&, Stream stream) {
  linalg::check_triangular(side, t_NN, b, DeviceKind::cuda);
  if (b.numel() == 0) return;
  const Session session(b, stream);
  by_dtype(b, [&](auto real) {
    using Real = decltype(real);
    const Real one = 1;
    check_blas(Vendor<Real>::trmm(session.blas(), side == Side::left ? CUBLAS_SIDE_LEFT : CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER,
                                  transpose ? CUBLAS_OP_T : CUBLAS_OP_N, CUBLAS_DIAG_NON_UNIT, narrow(b.shape[0]), narrow(b.shape[1]), &one,
                                  t_NN.as<const Real>(), leading(t_NN), b.as<const Real>(), leading(b), b.as<Real>(), leading(b)),
               "cublas trmm");
  });
}

std::int64_t cholesky(const TensorView& a_NN, Allocator& allocator, Stream stream) {
  linalg::check_square(a_NN, DeviceKind::cuda, "cholesky: a");
  std::int64_t failed = 0;
  if (a_NN.numel() == 0) return failed;
  if (small_cholesky(a_NN, allocator, stream, failed)) return failed;
  const Session session(a_NN, stream);
  by_dtype(a_NN, [&](auto real) {
    using Real = decltype(real);
    const int n = narrow(a_NN.shape[0]), lda = leading(a_NN);
    int size = 0;
    check_solver(Vendor<Real>::potrf_size(session.solver(), CUBLAS_FILL_MODE_UPPER, n, a_NN.as<Real>(), lda, &size), "cusolver potrf");
    const Scratch<Real> scratch(allocator, a_NN, stream, size);
    check_solver(Vendor<Real>::potrf(session.solver(), CUBLAS_FILL_MODE_UPPER, n, a_NN.as<Real>(), lda, scratch.work(), size, scratch.info()),
                 "cusolver potrf");
    failed = scratch.report();
  });
  PANTHER_CHECK(failed >= 0, "potrf returned info ", failed);
  return failed;
}

void qr(const TensorView& a_MN, const TensorView& tau_K, Allocator& allocator, Stream stream) {
  linalg::check_qr(a_MN, tau_K, DeviceKind::cuda);
  if (a_MN.numel() == 0) return;
  const Session session(a_MN, stream);
  by_dtype(a_MN, [&](auto real) {
    using Real = decltype(real);
    const int m = narrow(a_MN.shape[0]), n = narrow(a_MN.shape[1]), lda = leading(a_MN);
    int size = 0;
    check_solver(Vendor<Real>::geqrf_size(session.solver(), m, n, a_MN.as<Real>(), lda, &size), "cusolver geqrf");
    const Scratch<Real> scratch(allocator, a_MN, stream, size);
    check_solver(Vendor<Real>::geqrf(session.solver(), m, n, a_MN.as<Real>(), lda, tau_K.as<Real>(), scratch.work(), size, scratch.info()), "cusolver geqrf");
    stream_synchronize(stream);  // the scratch goes
  });
}

void qr_pivoted(const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots_N, Allocator& allocator, Stream stream) {
  linalg::check_qr(a_MN, tau_K, DeviceKind::cuda);
  linalg::check_host_size(pivots_N.size(), a_MN.shape[1], "qr_pivoted: pivots");
  const std::int64_t least = std::min(a_MN.shape[0], a_MN.shape[1]);
  if (least == 0) return std::iota(pivots_N.begin(), pivots_N.begin() + a_MN.shape[1], std::int64_t{0});
  if (qr_pivoted_on_device(a_MN, tau_K.slice(0, least), pivots_N, allocator, stream)) return;
  const LapackKernels* host = cpu_kernels().lapack;
  if (host == nullptr) fail(ErrorCode::Unsupported, "QR with column pivoting of so large a matrix needs the CPU's LAPACK: configure with -DPANTHER_WITH_OPENBLAS=ON");
  const DeviceScope scope(a_MN.device.index);
  const Matrix a = to_host(a_MN, stream), tau(plain_allocator(), Device{}, Stream{}, a_MN.dtype, std::min(a.rows(), a.columns()), 1);
  host->qr_pivoted(a.view(), tau.view(), pivots_N, plain_allocator(), {});
  to_device(a, a_MN, stream);
  to_device(tau, as_column(tau_K.slice(0, tau.rows())), stream);
}

bool lead_pivots(const TensorView& a_MN, const TensorView& tau_K, std::span<std::int64_t> pivots_N, Allocator& allocator, Stream stream) {
  linalg::require_column_major(a_MN, DeviceKind::cuda, "lead_pivots: a");
  PANTHER_REQUIRE(tau_K.shape[0] <= std::min(a_MN.shape[0], a_MN.shape[1]), "lead_pivots: ", tau_K.shape[0], " steps are too many for ", a_MN.shape[0], " x ", a_MN.shape[1]);
  linalg::require_vector(tau_K, a_MN.dtype, tau_K.shape[0], DeviceKind::cuda, "lead_pivots: tau");
  linalg::check_host_size(pivots_N.size(), a_MN.shape[1], "lead_pivots: pivots");
  return qr_pivoted_on_device(a_MN, tau_K, pivots_N, allocator, stream);
}

void multiply_q(bool transpose, const TensorView& factored_MK, const TensorView& tau_K, const TensorView& b_MC, Allocator& allocator, Stream stream) {
  linalg::check_multiply_q(factored_MK, tau_K, b_MC, DeviceKind::cuda);
  const int m = narrow(b_MC.shape[0]), n = narrow(b_MC.shape[1]), k = std::min(m, narrow(factored_MK.shape[1])), lda = leading(factored_MK), ldb = leading(b_MC);
  if (m == 0 || n == 0 || k == 0) return;
  const Session session(b_MC, stream);
  by_dtype(b_MC, [&](auto real) {
    using Real = decltype(real);
    const cublasOperation_t op = transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
    int size = 0;
    check_solver(Vendor<Real>::ormqr_size(session.solver(), CUBLAS_SIDE_LEFT, op, m, n, k, factored_MK.as<const Real>(), lda, tau_K.as<const Real>(),
                                          b_MC.as<const Real>(), ldb, &size),
                 "cusolver ormqr");
    const Scratch<Real> scratch(allocator, b_MC, stream, size);
    check_solver(Vendor<Real>::ormqr(session.solver(), CUBLAS_SIDE_LEFT, op, m, n, k, factored_MK.as<const Real>(), lda, tau_K.as<const Real>(),
                                     b_MC.as<Real>(), ldb, scratch.work(), size, scratch.info()),
                 "cusolver ormqr");
    stream_synchronize(stream);
  });
}

void form_q(const TensorView& factored_MN, const TensorView& tau_K, Allocator& allocator, Stream stream) {
  linalg::check_form_q(factored_MN, tau_K, DeviceKind::cuda);
  if (factored_MN.numel() == 0) return;
  const int m = narrow(factored_MN.shape[0]), n = narrow(factored_MN.shape[1]), k = narrow(tau_K.shape[0]), lda = leading(factored_MN);
  const Session session(factored_MN, stream);
  by_dtype(factored_MN, [&](auto real) {
    using Real = decltype(real);
    int size = 0;
    check_solver(Vendor<Real>::orgqr_size(session.solver(), m, n, k, factored_MN.as<const Real>(), lda, tau_K.as<const Real>(), &size), "cusolver orgqr");
    const Scratch<Real> scratch(allocator, factored_MN, stream, size);
    check_solver(Vendor<Real>::orgqr(session.solver(), m, n, k, factored_MN.as<Real>(), lda, tau_K.as<const Real>(), scratch.work(), size, scratch.info()),
                 "cusolver orgqr");
    stream_synchronize(stream);
  });
}

/// b = L^-1 b (left) or b L^-T (right), L the unit lower triangle of l_NN.
void solve_unit_lower(Side side, const TensorView& l_NN, const TensorView& b, Stream stream) {
  if (b.numel() == 0) return;
  const Session session(b, stream);
  by_dtype(b, [&](auto real) {
    using Real = decltype(real);
    const Real one = 1;
    check_blas(Vendor<Real>::trsm(session.blas(), side == Side::left ? CUBLAS_SIDE_LEFT : CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_LOWER,
                                  side == Side::left ? CUBLAS_OP_N : CUBLAS_OP_T, CUBLAS_DIAG_UNIT, narrow(b.shape[0]), narrow(b.shape[1]), &one,
                                  l_NN.as<const Real>(), leading(l_NN), b.as<Real>(), leading(b)),
               "cublas trsm");
  });
}

/// Panels of columns, each followed by products for what is right of it.
void signed_lu_by_panels(const TensorView& a_NN, const TensorView& signs_N, Allocator& allocator, Stream stream) {
  const std::int64_t size = a_NN.shape[0], side = signed_lu_side(a_NN.device.index);
  for (std::int64_t first = 0; first < size; first += side) {
    const std::int64_t width = std::min(side, size - first), next = first + width, rest = size - next;
    const TensorView panel = linalg::block(a_NN, first, width, first, width);
    signed_lu(panel, signs_N.slice(first, width), stream);
    if (rest == 0) return;
    const TensorView below = linalg::block(a_NN, next, rest, first, width), right = linalg::block(a_NN, first, width, next, rest);
    solve_upper(Side::right, false, 1, panel, below, allocator, stream);
    solve_unit_lower(Side::left, panel, right, stream);
    multiply(-1, below, right, 1, linalg::block(a_NN, next, rest, next, rest), stream);
  }
}

/// With Q_1 - D = V_1 U, the top square's LU: the rows below are V_2 = Q_2 U^-1, and LAPACK's T = -U D V_1^-T.
void reconstruct_q(const TensorView& q_MN, const TensorView& r_NN, const TensorView& tau_N, const TensorView& t_NN, Allocator& allocator, Stream stream) {
  linalg::check_reconstruct(q_MN, r_NN, tau_N, t_NN, DeviceKind::cuda);
  const std::int64_t rows = q_MN.shape[0], size = q_MN.shape[1];
  if (size == 0) return;
  const TensorView top = q_MN.slice(0, size), below = q_MN.slice(size, rows - size);
  const Matrix signs(allocator, q_MN.device, stream, q_MN.dtype, size, 1), u(allocator, q_MN.device, stream, q_MN.dtype, size, size);
  signed_lu_by_panels(top, signs.column(0), allocator, stream);
  split_signed_lu(top, signs.column(0), r_NN, tau_N, u.view(), t_NN, stream);
  solve_unit_lower(Side::right, top, t_NN, stream);
  solve_upper(Side::right, false, 1, u.view(), below, allocator, stream);
}

void lu(const TensorView& a_MN, std::span<std::int64_t> swaps_K, Allocator& allocator, Stream stream) {
  linalg::require_column_major(a_MN, DeviceKind::cuda, "lu: a");
  const std::int64_t least = std::min(a_MN.shape[0], a_MN.shape[1]);
  linalg::check_host_size(swaps_K.size(), least, "lu: swaps");
  if (least == 0) return;
  const Session session(a_MN, stream);
  const Workspace rows(allocator, static_cast<std::size_t>(least) * sizeof(int), a_MN.device, stream);
  by_dtype(a_MN, [&](auto real) {
    using Real = decltype(real);
    const int m = narrow(a_MN.shape[0]), n = narrow(a_MN.shape[1]), lda = leading(a_MN);
    int size = 0;
    check_solver(Vendor<Real>::getrf_size(session.solver(), m, n, a_MN.as<Real>(), lda, &size), "cusolver getrf");
    const Scratch<Real> scratch(allocator, a_MN, stream, size);
    check_solver(Vendor<Real>::getrf(session.solver(), m, n, a_MN.as<Real>(), lda, scratch.work(), static_cast<int*>(rows.data()), scratch.info()),
                 "cusolver getrf");
    PANTHER_CHECK(scratch.report() >= 0, "getrf refused an argument");
  });
  std::vector<int> found(static_cast<std::size_t>(least));
  copy_async(found.data(), rows.data(), found.size() * sizeof(int), stream);
  stream_synchronize(stream);
  for (std::size_t i = 0; i < found.size(); ++i) swaps_K[i] = found[i] - 1;
}

/// cuSOLVER's gesvd takes rows >= columns only.
void tall_svd(const TensorView& a_MN, const TensorView& u_MK, const TensorView& s_K, const TensorView& vt_KN, Allocator& allocator, Stream stream) {
  const Session session(a_MN, stream);
  by_dtype(a_MN, [&](auto real) {
    using Real = decltype(real);
    const int m = narrow(a_MN.shape[0]), n = narrow(a_MN.shape[1]), lda = leading(a_MN);
    const bool vectors = u_MK.data != nullptr;
    const signed char job = vectors ? 'S' : 'N';
    int size = 0;
    check_solver(Vendor<Real>::gesvd_size(session.solver(), m, n, &size), "cusolver gesvd");
    const Scratch<Real> scratch(allocator, a_MN, stream, size);
    const Workspace rest(allocator, static_cast<std::size_t>(n) * sizeof(Real), a_MN.device, stream);
    check_solver(Vendor<Real>::gesvd(session.solver(), job, job, m, n, a_MN.as<Real>(), lda, s_K.as<Real>(), u_MK.as<Real>(), vectors ? leading(u_MK) : m,
                                     vt_KN.as<Real>(), vectors ? leading(vt_KN) : n, scratch.work(), size, static_cast<Real*>(rest.data()), scratch.info()),
                 "cusolver gesvd");
    const int info = scratch.report();
    PANTHER_CHECK(info == 0, "the SVD of ", m, " x ", n, " did not converge: gesvd returned info ", info);
  });
}

/// Up to this many rows and columns the host's LAPACK is done before cuSOLVER's QR iterations have launched their kernels.
constexpr std::int64_t kHostSvdSide = 256;

void svd_on_host(const LapackKernels& host, const TensorView& a_MN, const TensorView& u_MK, const TensorView& s_K, const TensorView& vt_KN, Stream stream) {
  const DeviceScope scope(a_MN.device.index);
  const std::int64_t least = std::min(a_MN.shape[0], a_MN.shape[1]);
  const bool vectors = u_MK.data != nullptr;
  const auto on_host = [&](std::int64_t rows, std::int64_t columns) { return Matrix(plain_allocator(), Device{}, Stream{}, a_MN.dtype, rows, columns); };
  const Matrix a = to_host(a_MN, stream), s = on_host(least, 1), u = vectors ? on_host(a.rows(), least) : Matrix(), vt = vectors ? on_host(least, a.columns()) : Matrix();
  host.svd(a.view(), vectors ? u.view() : TensorView(), s.column(0), vectors ? vt.view() : TensorView(), plain_allocator(), {});
  to_device(s, as_column(s_K), stream);
  if (!vectors) return;
  to_device(u, u_MK, stream);
  to_device(vt, vt_KN, stream);
}

void svd(const TensorView& a_MN, const TensorView& u_MK, const TensorView& s_K, const TensorView& vt_KN, Allocator& allocator, Stream stream) {
  linalg::check_svd(a_MN, u_MK, s_K, vt_KN, DeviceKind::cuda);
  const std::int64_t rows = a_MN.shape[0], columns = a_MN.shape[1];
  if (a_MN.numel() == 0) return;
  const LapackKernels* host = cpu_kernels().lapack;
  if (host != nullptr && std::max(rows, columns) <= kHostSvdSide) return svd_on_host(*host, a_MN, u_MK, s_K, vt_KN, stream);
  if (rows >= columns) return tall_svd(a_MN, u_MK, s_K, vt_KN, allocator, stream);
  const Matrix turned(allocator, a_MN.device, stream, a_MN.dtype, columns, rows);
  cast(a_MN.transposed(), turned.view(), stream);
  if (u_MK.data == nullptr) return tall_svd(turned.view(), {}, s_K, {}, allocator, stream);
  const Matrix v(allocator, a_MN.device, stream, a_MN.dtype, columns, rows), ut(allocator, a_MN.device, stream, a_MN.dtype, rows, rows);
  tall_svd(turned.view(), v.view(), s_K, ut.view(), allocator, stream);
  cast(v.view().transposed(), vt_KN, stream);
  cast(ut.view().transposed(), u_MK, stream);
  stream_synchronize(stream);
}

void eigh(const TensorView& a_NN, const TensorView& w_N, Allocator& allocator, Stream stream) {
  linalg::check_eigh(a_NN, w_N, DeviceKind::cuda);
  if (a_NN.numel() == 0) return;
  const Session session(a_NN, stream);
  by_dtype(a_NN, [&](auto real) {
    using Real = decltype(real);
    const int n = narrow(a_NN.shape[0]), lda = leading(a_NN);
    int size = 0;
    check_solver(Vendor<Real>::syevd_size(session.solver(), CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER, n, a_NN.as<const Real>(), lda,
                                          w_N.as<const Real>(), &size),
                 "cusolver syevd");
    const Scratch<Real> scratch(allocator, a_NN, stream, size);
    check_solver(Vendor<Real>::syevd(session.solver(), CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER, n, a_NN.as<Real>(), lda, w_N.as<Real>(),
                                     scratch.work(), size, scratch.info()),
                 "cusolver syevd");
    const int info = scratch.report();
    PANTHER_CHECK(info == 0, "the eigenvalues of ", n, " x ", n, " did not converge: syevd returned info ", info);
  });
}

}  // namespace

const LapackKernels* lapack_kernels() {
  static constexpr LapackKernels table{.narrow_product = narrow_product,
                                       .gram = gram,
                                       .solve_upper = solve_upper,
                                       .divide_by_pivoted = divide_by_pivoted,
                                       .multiply_upper = multiply_upper,
                                       .cholesky = cholesky,
                                       .qr = qr,
                                       .qr_pivoted = qr_pivoted,
                                       .lead_pivots = lead_pivots,
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

}  // namespace panther::cuda
