panther_runtime_test(runtime_data_test SOURCES data/bytes_test.cpp data/loader_test.cpp data/rows_test.cpp data/sampler_test.cpp)
set_property(GLOBAL APPEND PROPERTY PANTHER_GPU_TESTS "runtime_data_test:Loader.*")
