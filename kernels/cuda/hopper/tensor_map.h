#pragma once
// Descriptions of tensors in device memory for Hopper's copy engine.
#include <cuda.h>

#include <cstdint>
#include <initializer_list>

namespace panther::cuda {

struct TileDimension {
  std::int64_t size = 0;
  std::int64_t stride_bytes = 0;  ///< a multiple of 16; of the first dimension the element's size
  std::uint32_t tile = 0;         ///< elements of a tile along it
};

/// Of a device that these kernels run on; 0 of any other.
int hopper_multiprocessors(int device);

/// At an address divisible by 16, dimensions from the nearest on, tiles swizzled by 128 bytes. Throws Unsupported where the driver has no such maps.
CUtensorMap make_tensor_map(CUtensorMapDataType type, const void* data, std::initializer_list<TileDimension> dimensions);

}  // namespace panther::cuda
