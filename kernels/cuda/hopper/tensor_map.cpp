#include "kernels/cuda/hopper/tensor_map.h"

#include <cuda_runtime_api.h>

#include <array>

#include "core/error.h"
#include "kernels/cuda/check.h"

namespace panther::cuda {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

/// The driver's function, asked for by name: the library does not link libcuda.
Encode find_encode() {
  constexpr unsigned kSinceCuda12 = 12000;
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check_status(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kSinceCuda12, cudaEnableDefault, &found), "cudaGetDriverEntryPointByVersion");
  if (found != cudaDriverEntryPointSuccess) fail(ErrorCode::Unsupported, "this driver has no tensor maps");
  return reinterpret_cast<Encode>(function);
}

}  // namespace

int hopper_multiprocessors(int device) {
  const bool hopper = device_attribute(cudaDevAttrComputeCapabilityMajor, device) == 9 && device_attribute(cudaDevAttrComputeCapabilityMinor, device) == 0;
  return hopper ? device_attribute(cudaDevAttrMultiProcessorCount, device) : 0;
}

CUtensorMap make_tensor_map(CUtensorMapDataType type, const void* data, std::initializer_list<TileDimension> dimensions) {
  static const Encode encode = find_encode();
  constexpr std::size_t kMost = 5;
  PANTHER_CHECK(dimensions.size() >= 2 && dimensions.size() <= kMost, "a tensor map of ", dimensions.size(), " dimensions");
  std::array<cuuint64_t, kMost> sizes{}, strides{};
  std::array<cuuint32_t, kMost> tile{}, steps{1, 1, 1, 1, 1};
  std::size_t i = 0;
  for (const TileDimension& dimension : dimensions) {
    sizes[i] = static_cast<cuuint64_t>(dimension.size);
    if (i > 0) strides[i - 1] = static_cast<cuuint64_t>(dimension.stride_bytes);
    tile[i] = dimension.tile;
    ++i;
  }
  CUtensorMap map{};
  const CUresult result = encode(&map, type, static_cast<cuuint32_t>(dimensions.size()), const_cast<void*>(data), sizes.data(), strides.data(), tile.data(), steps.data(),
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  PANTHER_CHECK(result == CUDA_SUCCESS, "cuTensorMapEncodeTiled refused a map: CUDA error ", static_cast<int>(result));
  return map;
}

}  // namespace panther::cuda
