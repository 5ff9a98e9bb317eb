# The QR family and the LAPACK tables it stands on.
panther_test(linalg_qr_test LINK panther::kernels OpenMP::OpenMP_CXX SOURCES lapack_kernels_test.cpp)
