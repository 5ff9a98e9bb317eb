panther_runtime_test(runtime_layers_test SOURCES tensor_test.cpp sketch_policy_test.cpp sketched_layer_test.cpp fit_test.cpp host_path_test.cpp layers_test.cpp)
panther_runtime_test(runtime_layers_gpu_test SOURCES layers_gpu_test.cpp LABELS gpu)
set_tests_properties(runtime_layers_gpu_test PROPERTIES SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
