#include "kernels/linear/calibrate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/linear/linear_kernels.h"

namespace panther {
namespace {

constexpr std::int64_t kRows = 256, kLength = 1024, kWidest = 512;

/// Seconds of one call: the middle of five, after one that is not counted.
template <class Call>
double time_of(const KernelSet& kernels, Stream stream, const Call& call) {
  std::vector<double> seconds;
  for (int i = 0; i < 6; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    if (kernels.device == DeviceKind::cuda) stream_synchronize(stream);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin() + 1, seconds.end());
  return seconds[3];
}

std::size_t index_of(DType dtype) {
  switch (dtype) {
    case DType::f64: return 0;
    case DType::f32: return 1;
    case DType::bf16: return 2;
    case DType::f16: return 3;
    case DType::i64: case DType::i32: case DType::u8: break;
  }
  fail(ErrorCode::InvalidArgument, "calibrate: ", dtype_name(dtype), " has no matrix product");
}

struct Memory {
  Memory(const KernelSet& kernels, Allocator& allocator, Stream stream, std::int64_t bytes)
      : device{kernels.device, 0}, workspace(allocator, static_cast<std::size_t>(bytes), device, stream) {}
  TensorView matrix(DType dtype, std::int64_t offset_bytes, std::int64_t rows, std::int64_t columns) const {
    return TensorView(static_cast<std::byte*>(workspace.data()) + offset_bytes, dtype, {rows, columns}, device);
  }
  Device device;
  Workspace workspace;
};

void measure_products(const KernelSet& kernels, DType dtype, const Memory& memory, Stream stream, Calibration& result) {
  const auto bytes = static_cast<std::int64_t>(size_of(dtype));
  const TensorView x = memory.matrix(dtype, 0, kRows, kLength);
  for (std::size_t i = 0; i < ProductRate::kWidths.size(); ++i) {
    const auto width = static_cast<std::int64_t>(ProductRate::kWidths[i]);
    const TensorView factor = memory.matrix(dtype, kRows * kLength * bytes, width, kLength);
    const TensorView h = memory.matrix(dtype, (kRows + kWidest) * kLength * bytes, kRows, width);
    const StackedRows rows{{width, factor, {}, {}}, {}};
    const double flops = 4.0 * static_cast<double>(kRows * kLength * width);
    // There and back, as the layer does.
    result.library[index_of(dtype)].flops[i] = flops / time_of(kernels, stream, [&] {
      kernels.gemm(1.0, x, factor.transposed(), 0.0, h, {}, {}, stream);
      kernels.gemm(1.0, h, factor, 0.0, x, {}, {}, stream);
    });
    result.own[index_of(dtype)].flops[i] = flops / time_of(kernels, stream, [&] {
      kernels.linear->project(1.0, x, rows, 0.0, h, {}, stream);
      kernels.linear->combine(1.0, h, rows, 0.0, x, {}, {}, stream);
    });
  }
}

}  // namespace

Calibration calibrate(const KernelSet& kernels, std::span<const DType> dtypes, Allocator& allocator, Stream stream) {
  if (kernels.linear == nullptr) fail(ErrorCode::Unsupported, "calibrate: the ", kernels.name, " kernels have no table for linear layers");
  Calibration result = default_calibration(kernels.device);
  constexpr std::int64_t kSweptBytes = std::int64_t{64} << 20;
  const Memory memory(kernels, allocator, stream, kSweptBytes);
  const TensorView all = memory.matrix(DType::f32, 0, 1, kSweptBytes / 4).flattened();
  // Zeros (of either sign) everywhere: no kernel is timed on nan or denormals.
  kernels.sign_expand(SignKey::of(0, "calibrate"), 0, 0, 0.0, memory.matrix(DType::f32, 0, 64, kSweptBytes / 256), stream);
  result.memory_bytes_per_second = 2.0 * kSweptBytes / time_of(kernels, stream, [&] { kernels.scale(1.0, all, stream); });
  constexpr std::int64_t kCachedBytes = std::int64_t{256} << 10;
  const TensorView cached = all.slice(0, kCachedBytes / 4);
  result.cache_bytes_per_second =
      std::max(result.memory_bytes_per_second, 2.0 * kCachedBytes / time_of(kernels, stream, [&] { kernels.scale(1.0, cached, stream); }));
  const TensorView tiny = memory.matrix(DType::f32, 0, 8, 8), other = memory.matrix(DType::f32, 4096, 8, 8);
  constexpr int kLaunches = 32;
  result.launch_seconds = time_of(kernels, stream, [&] {
    for (int i = 0; i < kLaunches; ++i) kernels.gemm(1.0, tiny, tiny, 0.0, other, {}, {}, stream);
  }) / kLaunches;
  const TensorView signs = memory.matrix(DType::f32, 0, 256, 4096);
  result.signs_per_second = static_cast<double>(signs.numel()) / time_of(kernels, stream, [&] {
    kernels.sign_expand(SignKey::of(1, "calibrate"), 0, 0, 0.0, signs, stream);
  });
  for (const DType dtype : dtypes) measure_products(kernels, dtype, memory, stream, result);
  return result;
}

}  // namespace panther
