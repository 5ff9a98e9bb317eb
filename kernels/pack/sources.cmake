# Kernels of gradient compression; kernels/CMakeLists.txt includes this before it makes the target.
list(APPEND _sources
  pack/count_sketch.cpp
  pack/elements.cpp
  pack/energy.cpp
  pack/low_rank_project.cpp
  pack/low_rank_update.cpp
  pack/pack_kernels.cpp
  pack/quantize.cpp
  pack/rotate.cpp
  pack/rows.cpp
  pack/running_mean.cpp
  pack/sample.cpp
  pack/top_k.cpp)
# Projections are summed over ranks before anybody decides by them: no bits to keep.
set_source_files_properties(pack/low_rank_project.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=fast)
