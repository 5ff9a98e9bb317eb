# Tests of data parallelism: ranks as threads, each with its own copy of a model.
panther_runtime_test(runtime_parallel_test SOURCES parallel_gradient_sync_test.cpp parallel_local_steps_test.cpp parallel_parameters_test.cpp parallel_sharded_test.cpp)
