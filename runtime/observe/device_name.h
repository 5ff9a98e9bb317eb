#pragma once
// What the GPU calls itself: device_name.cpp, or no_device_name.cpp where CUDA is not built.
#include <string>

namespace panther::runtime {

/// "NVIDIA H100 80GB HBM3"; "" when there is none.
std::string device_name(int device_index);

}  // namespace panther::runtime
