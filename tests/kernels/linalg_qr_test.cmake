# The QR family and the LAPACK tables it stands on.
panther_test(linalg_qr_test LINK panther::kernels OpenMP::OpenMP_CXX SOURCES
  lapack_kernels_test.cpp bqrrp_test.cpp cqrrpt_test.cpp cqrrt_test.cpp row_split_qr_test.cpp)
