# Sources of the gradient exchange; comm/CMakeLists.txt includes this before it makes the target.
set(panther_exchange_sources
  exchange/bucket_plan.cpp
  exchange/codec.cpp
  exchange/control_tail.cpp
  exchange/digests.cpp
  exchange/exchange.cpp
  exchange/gather_integers.cpp
  exchange/integrity.cpp
  exchange/lane.cpp
  exchange/sender.cpp)
# The family adds itself to the target, which exists by the end of the folder.
cmake_language(DEFER CALL panther_family panther_comm exchange/family register_codec_family comm::CodecRegistry comm/exchange/codec.h)
