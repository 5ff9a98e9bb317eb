# Decompositions on the CPU everywhere, on CUDA where there is a device.
panther_program(device_linalg_test LINK panther::kernels OpenMP::OpenMP_CXX GTest::gmock GTest::gtest_main SOURCES device_linalg_test.cpp)
gtest_discover_tests(device_linalg_test TEST_PREFIX "device_linalg_test." TEST_FILTER "-Gpu/*" NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT 120
  SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
gtest_discover_tests(device_linalg_test TEST_PREFIX "device_linalg_test." TEST_FILTER "Gpu/*" TEST_LIST device_linalg_test_gpu NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60
  PROPERTIES LABELS gpu TIMEOUT 300 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
set_property(GLOBAL APPEND PROPERTY PANTHER_GPU_TESTS "device_linalg_test:Gpu/*")
