#pragma once
// LAPACK's and BLAS's Fortran names of static OpenBLAS, as Lapack<float> and Lapack<double>. Integers are 32-bit; every character
// argument has its length appended, as gfortran passes it.
#include <cstddef>

namespace panther::cpu {

using Length = std::size_t;

template <class Real>
struct Lapack;

#define PANTHER_LAPACK_OF(p, Real)                                                                                                          \
  extern "C" {                                                                                                                              \
  void p##gemm_(const char* ta, const char* tb, const int* m, const int* n, const int* k, const Real* alpha, const Real* a, const int* lda, \
                const Real* b, const int* ldb, const Real* beta, Real* c, const int* ldc, Length, Length);                                  \
  void p##syrk_(const char* uplo, const char* trans, const int* n, const int* k, const Real* alpha, const Real* a, const int* lda,          \
                const Real* beta, Real* c, const int* ldc, Length, Length);                                                                 \
  void p##trsm_(const char* side, const char* uplo, const char* trans, const char* diag, const int* m, const int* n, const Real* alpha,     \
                const Real* a, const int* lda, Real* b, const int* ldb, Length, Length, Length, Length);                                    \
  void p##trmm_(const char* side, const char* uplo, const char* trans, const char* diag, const int* m, const int* n, const Real* alpha,     \
                const Real* a, const int* lda, Real* b, const int* ldb, Length, Length, Length, Length);                                    \
  void p##potrf_(const char* uplo, const int* n, Real* a, const int* lda, int* info, Length);                                               \
  void p##geqrf_(const int* m, const int* n, Real* a, const int* lda, Real* tau, Real* work, const int* lwork, int* info);                  \
  void p##geqp3_(const int* m, const int* n, Real* a, const int* lda, int* jpvt, Real* tau, Real* work, const int* lwork, int* info);       \
  void p##ormqr_(const char* side, const char* trans, const int* m, const int* n, const int* k, const Real* a, const int* lda,              \
                 const Real* tau, Real* c, const int* ldc, Real* work, const int* lwork, int* info, Length, Length);                        \
  void p##orgqr_(const int* m, const int* n, const int* k, Real* a, const int* lda, const Real* tau, Real* work, const int* lwork,          \
                 int* info);                                                                                                                \
  void p##orhr_col_(const int* m, const int* n, const int* nb, Real* a, const int* lda, Real* t, const int* ldt, Real* d, int* info);         \
  void p##getrf_(const int* m, const int* n, Real* a, const int* lda, int* ipiv, int* info);                                                \
  void p##gesdd_(const char* jobz, const int* m, const int* n, Real* a, const int* lda, Real* s, Real* u, const int* ldu, Real* vt,         \
                 const int* ldvt, Real* work, const int* lwork, int* iwork, int* info, Length);                                             \
  void p##syevd_(const char* jobz, const char* uplo, const int* n, Real* a, const int* lda, Real* w, Real* work, const int* lwork,          \
                 int* iwork, const int* liwork, int* info, Length, Length);                                                                 \
  }                                                                                                                                         \
  template <>                                                                                                                               \
  struct Lapack<Real> {                                                                                                                     \
    static constexpr auto gemm = p##gemm_;                                                                                                  \
    static constexpr auto syrk = p##syrk_;                                                                                                  \
    static constexpr auto trsm = p##trsm_;                                                                                                  \
    static constexpr auto trmm = p##trmm_;                                                                                                  \
    static constexpr auto potrf = p##potrf_;                                                                                                \
    static constexpr auto geqrf = p##geqrf_;                                                                                                \
    static constexpr auto geqp3 = p##geqp3_;                                                                                                \
    static constexpr auto ormqr = p##ormqr_;                                                                                                \
    static constexpr auto orgqr = p##orgqr_;                                                                                                \
    static constexpr auto orhr_col = p##orhr_col_;                                                                                          \
    static constexpr auto getrf = p##getrf_;                                                                                                \
    static constexpr auto gesdd = p##gesdd_;                                                                                                \
    static constexpr auto syevd = p##syevd_;                                                                                                \
  };

PANTHER_LAPACK_OF(s, float)
PANTHER_LAPACK_OF(d, double)
#undef PANTHER_LAPACK_OF

}  // namespace panther::cpu
