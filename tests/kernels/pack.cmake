# Kernels of gradient compression: properties on the CPU, and every device against the CPU.
panther_test(pack_test LINK panther::kernels OpenMP::OpenMP_CXX SOURCES
  pack_low_rank_test.cpp pack_plan_test.cpp pack_quantize_test.cpp pack_select_test.cpp pack_sketch_test.cpp)
panther_program(pack_contract_test LINK panther::kernels GTest::gmock GTest::gtest_main SOURCES
  pack_contract_test.cpp pack_low_rank_contract_test.cpp pack_quantize_contract_test.cpp)
gtest_discover_tests(pack_contract_test TEST_PREFIX "pack_contract_test." TEST_FILTER "Cpu/*" NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT 120)
gtest_discover_tests(pack_contract_test TEST_PREFIX "pack_contract_test." TEST_FILTER "Gpu/*" TEST_LIST pack_contract_gpu NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60
  PROPERTIES LABELS gpu TIMEOUT 300 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
set_property(GLOBAL APPEND PROPERTY PANTHER_GPU_TESTS "pack_contract_test:Gpu/*")
