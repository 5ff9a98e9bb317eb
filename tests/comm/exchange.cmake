# Tests of the gradient exchange.
panther_test(exchange_test LINK panther_comm panther_kernels SOURCES
  exchange_bucket_plan_test.cpp exchange_step_test.cpp exchange_failure_test.cpp exchange_checked_test.cpp exchange_codec_test.cpp
  exchange_digest_test.cpp exchange_order_test.cpp)
panther_test(exchange_cuda_test LINK panther_comm panther_kernels SOURCES exchange_cuda_test.cpp LABELS gpu)
# Two levels: checked and counted, and over the backends; ranks that fail on one level and on two.
panther_test(exchange_levels_test LINK panther_comm panther_kernels SOURCES
  exchange_levels_test.cpp exchange_levels_checked_test.cpp exchange_levels_backends_test.cpp exchange_abort_test.cpp rank_world.cpp queue_transport.cpp)
