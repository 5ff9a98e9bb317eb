# Tests of the gradient exchange.
panther_test(exchange_test LINK panther_comm panther_kernels SOURCES
  exchange_bucket_plan_test.cpp exchange_levels_test.cpp exchange_step_test.cpp exchange_failure_test.cpp exchange_checked_test.cpp exchange_codec_test.cpp
  exchange_digest_test.cpp exchange_order_test.cpp)
panther_test(exchange_cuda_test LINK panther_comm panther_kernels SOURCES exchange_cuda_test.cpp LABELS gpu)
