# Sketch operators: the contract of every registered kind, and what each distribution promises.
panther_program(sketch_test SOURCES gaussian_test.cpp sketch_contract_test.cpp sketch_moments_test.cpp LINK panther::kernels OpenMP::OpenMP_CXX GTest::gmock GTest::gtest_main)
gtest_discover_tests(sketch_test TEST_PREFIX "sketch_test." TEST_FILTER "-Gpu/*" DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT 120)
gtest_discover_tests(sketch_test TEST_PREFIX "sketch_test." TEST_FILTER "Gpu/*" TEST_LIST sketch_test_gpu DISCOVERY_TIMEOUT 60
  PROPERTIES LABELS gpu TIMEOUT 300 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
set_property(GLOBAL APPEND PROPERTY PANTHER_GPU_TESTS "sketch_test:Gpu/*")
# Entries must have the library's bits (kernels/element/gaussian.h).
set_source_files_properties(gaussian_test.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
