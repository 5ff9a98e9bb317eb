# Sources of the gradient exchange; included by comm/CMakeLists.txt after the target exists.
target_sources(panther_comm PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/bucket_plan.cpp
  ${CMAKE_CURRENT_LIST_DIR}/codec.cpp
  ${CMAKE_CURRENT_LIST_DIR}/control_tail.cpp
  ${CMAKE_CURRENT_LIST_DIR}/digests.cpp
  ${CMAKE_CURRENT_LIST_DIR}/exchange.cpp
  ${CMAKE_CURRENT_LIST_DIR}/gather_integers.cpp
  ${CMAKE_CURRENT_LIST_DIR}/integrity.cpp
  ${CMAKE_CURRENT_LIST_DIR}/lane.cpp
  ${CMAKE_CURRENT_LIST_DIR}/sender.cpp)
panther_family(panther_comm exchange/family register_codec_family comm::CodecRegistry comm/exchange/codec.h)
