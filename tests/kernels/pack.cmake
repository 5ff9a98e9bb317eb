# Kernels of gradient compression.
panther_test(pack_test LINK panther::kernels OpenMP::OpenMP_CXX SOURCES pack_test.cpp)
