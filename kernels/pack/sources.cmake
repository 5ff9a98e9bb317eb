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
if(PANTHER_WITH_CUDA)
  set(_cuda_sources count_sketch dequantize elements energy low_rank orthonormalize project quantize quantize_long rotate rows sample top_k)
  list(TRANSFORM _cuda_sources REPLACE "(.+)" "pack/cuda/\\1.cu")
  # Residuals have the CPU's bits, and factors the same ones on every GPU.
  set_source_files_properties(${_cuda_sources} PROPERTIES COMPILE_OPTIONS --fmad=false)
  list(APPEND _sources pack/cuda/pack_kernels.cpp ${_cuda_sources})
else()
  list(APPEND _sources pack/cuda/no_cuda.cpp)
endif()
