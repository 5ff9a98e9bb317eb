# Sparse, Hadamard, sampled and composed sketches; rows split over ranks for every kind.
panther_program(sparse_sketch_test LINK panther::kernels OpenMP::OpenMP_CXX GTest::gmock GTest::gtest_main SOURCES
  leverage_test.cpp row_split_test.cpp sparse_layout_test.cpp sparse_moments_test.cpp sparse_pattern_test.cpp sparse_plan_test.cpp walsh_hadamard_test.cpp)
gtest_discover_tests(sparse_sketch_test TEST_PREFIX "sparse_sketch_test." TEST_FILTER "-Gpu/*" NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT 120)
gtest_discover_tests(sparse_sketch_test TEST_PREFIX "sparse_sketch_test." TEST_FILTER "Gpu/*" TEST_LIST sparse_sketch_test_gpu NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60
  PROPERTIES LABELS gpu TIMEOUT 300 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
set_property(GLOBAL APPEND PROPERTY PANTHER_GPU_TESTS "sparse_sketch_test:Gpu/*")
# Sums are written out, with the library's bits.
set_source_files_properties(sparse_layout_test.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
