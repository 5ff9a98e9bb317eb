# Tests of the codecs that lose something: what all promise, what each is, and that training with them arrives.
panther_test(exchange_codecs_test LINK panther_comm panther_kernels SOURCES
  exchange_codec_contract_test.cpp exchange_codec_convergence_test.cpp exchange_codec_family_test.cpp exchange_codec_metamorphic_test.cpp
  rank_world.cpp queue_transport.cpp)
# The planner and what switches codecs in a running job.
panther_test(exchange_auto_test LINK panther_comm panther_kernels SOURCES exchange_auto_test.cpp exchange_planner_test.cpp)
