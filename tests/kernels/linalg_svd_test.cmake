# Randomized SVD and its relatives; they stand on LAPACK.
if(PANTHER_WITH_OPENBLAS)
  panther_test(linalg_svd_test LINK panther::kernels OpenMP::OpenMP_CXX SOURCES
    difficult_matrices_test.cpp interpolative_test.cpp least_squares_test.cpp memory_need_test.cpp nystrom_test.cpp orthonormalize_test.cpp qb_test.cpp rsvd_test.cpp)
endif()
