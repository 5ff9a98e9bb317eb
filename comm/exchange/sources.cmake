# Sources of the gradient exchange; comm/CMakeLists.txt includes this before it makes the target.
set(panther_exchange_sources
  exchange/auto_plan.cpp
  exchange/block_quantizer.cpp
  exchange/bucket_plan.cpp
  exchange/bucket_parts.cpp
  exchange/candidates.cpp
  exchange/carried_residuals.cpp
  exchange/codec.cpp
  exchange/codec_settings.cpp
  exchange/control_tail.cpp
  exchange/digests.cpp
  exchange/error_feedback.cpp
  exchange/exchange.cpp
  exchange/gather_wire.cpp
  exchange/host_state.cpp
  exchange/integrity.cpp
  exchange/lane.cpp
  exchange/layout.cpp
  exchange/learned_errors.cpp
  exchange/link_plan.cpp
  exchange/low_rank_factors.cpp
  exchange/measure.cpp
  exchange/node_levels.cpp
  exchange/part_state.cpp
  exchange/planned_bytes.cpp
  exchange/planner.cpp
  exchange/reported_values.cpp
  exchange/sender.cpp
  exchange/sender_messages.cpp
  exchange/sender_nonfinite.cpp
  exchange/sender_state.cpp
  exchange/shared_sample.cpp)
# The family adds itself to the target, which exists by the end of the folder.
cmake_language(DEFER CALL panther_family panther_comm exchange/family register_codec_family comm::CodecRegistry comm/exchange/codec.h)
