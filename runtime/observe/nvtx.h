#pragma once
// Ranges for NVIDIA's profilers: nvtx.cpp, or no_nvtx.cpp where CUDA is not built.

namespace panther::runtime {

void nvtx_push(const char* name) noexcept;
void nvtx_pop() noexcept;

}  // namespace panther::runtime
