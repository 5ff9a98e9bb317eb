# Tests of the codecs that lose something: what all promise, what each is, and that training with them arrives.
panther_test(exchange_codecs_test LINK panther_comm panther_kernels SOURCES
  exchange_codec_contract_test.cpp exchange_codec_convergence_test.cpp exchange_codec_family_test.cpp exchange_codec_metamorphic_test.cpp
  rank_world.cpp queue_transport.cpp)
# The same on a GPU.
panther_test(exchange_codecs_cuda_test LINK panther_comm panther_kernels LABELS gpu SOURCES
  exchange_codec_contract_test.cpp exchange_codec_convergence_test.cpp cuda_main.cpp)
if(PANTHER_WITH_CUDA)
  find_package(CUDAToolkit REQUIRED)
  panther_test(exchange_capture_test LINK panther_comm panther_kernels CUDA::cudart LABELS gpu SOURCES exchange_capture_test.cpp cuda_main.cpp)
endif()
# The planner and what switches codecs in a running job.
panther_test(exchange_auto_test LINK panther_comm panther_kernels SOURCES exchange_auto_test.cpp exchange_planner_test.cpp)
