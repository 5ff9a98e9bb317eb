#include "tools/linalg/matrix_input.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/kernel_set.h"

namespace panther::tools {
namespace {

/// Rows converted at a time, so that a transposing conversion stays in the cache and damage is found soon.
constexpr std::int64_t kConvertedBytes = std::int64_t{4} << 20;

template <class T>
bool finite_block(const TensorView& block) {
  const auto* data = block.as<T>();
  // x - x is 0 for finite x and nan otherwise.
  T sum = 0;
  for (std::int64_t i = 0; i < block.shape[0]; ++i)
    for (std::int64_t j = 0; j < block.shape[1]; ++j) {
      const T x = data[i * block.strides[0] + j * block.strides[1]];
      sum += x - x;
    }
  return sum == 0;
}

template <class T>
[[noreturn]] void fail_not_finite(const TensorView& block, std::int64_t first, const std::string& path) {
  for (std::int64_t i = 0; i < block.shape[0]; ++i)
    for (std::int64_t j = 0; j < block.shape[1]; ++j) {
      const T x = block.as<T>()[i * block.strides[0] + j * block.strides[1]];
      if (!std::isfinite(x))
        fail(ErrorCode::InvalidArgument, "'", path, "' has ", std::isnan(x) ? "nan" : "an infinity", " at row ", first + i, ", column ", j,
             " (counted from 0); replace or remove it, in Python: a = numpy.nan_to_num(a)");
    }
  fail(ErrorCode::Internal, "'", path, "': a value that is not finite was seen and not found");
}

void require_finite(const TensorView& block, std::int64_t first, const std::string& path) {
  if (block.dtype == DType::f64 && !finite_block<double>(block)) fail_not_finite<double>(block, first, path);
  if (block.dtype == DType::f32 && !finite_block<float>(block)) fail_not_finite<float>(block, first, path);
}

DType choose_dtype(DType stored, std::optional<DType> wanted) {
  if (wanted) return *wanted;
  return stored == DType::f32 || stored == DType::f16 || stored == DType::bf16 ? DType::f32 : DType::f64;
}

bool aligned(const std::byte* data, DType dtype) { return reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) == 0; }

}  // namespace

MatrixInput::MatrixInput(const std::filesystem::path& path, const MatrixFile::Options& options, std::optional<DType> dtype)
    : options_(options), file_(path, options), dtype_(choose_dtype(file_.layout().dtype, dtype)) {
  PANTHER_REQUIRE(rows() > 0 && columns() > 0, "'", path.string(), "' is a matrix of ", rows(), " x ", columns(),
                  ", without elements; there is nothing to do");
}

void MatrixInput::read_rows(std::int64_t first, const TensorView& out) const {
  const MatrixLayout& layout = file_.layout();
  PANTHER_REQUIRE(first >= 0 && first + out.shape[0] <= rows() && out.shape[1] == columns(), "rows ", first, " to ", first + out.shape[0],
                  " of a ", rows(), " x ", columns(), " matrix");
  const std::int64_t step = std::max<std::int64_t>(1, kConvertedBytes / (columns() * static_cast<std::int64_t>(size_of(dtype_))));
  std::vector<std::byte> copied;
  for (std::int64_t begin = 0; begin < out.shape[0]; begin += step) {
    const std::int64_t count = std::min(step, out.shape[0] - begin);
    TensorView source(nullptr, layout.dtype, {count, columns()});
    if (aligned(file_.bytes().data(), layout.dtype)) {
      source.strides = {layout.row_stride, layout.column_stride};
      // Views of constant data are not written by who reads them.
      source.data = const_cast<std::byte*>(file_.bytes().data()) +
                    (first + begin) * layout.row_stride * static_cast<std::int64_t>(size_of(layout.dtype));
    } else {
      copied.resize(static_cast<std::size_t>(source.bytes()));
      file_.copy_rows(first + begin, count, copied.data());
      source.data = copied.data();
    }
    const TensorView block = out.slice(begin, count);
    cpu_kernels().cast(source, block, {});
    require_finite(block, first + begin, file_.path().string());
  }
}

Matrix MatrixInput::load(Allocator& allocator, Device device) const {
  Matrix host(allocator, {}, {}, dtype_, rows(), columns());
  read_rows(0, host.view());
  if (device.kind == DeviceKind::cpu) return host;
  Matrix there(allocator, device, {}, dtype_, rows(), columns());
  copy_async(there.view().data, host.view().data, static_cast<std::size_t>(bytes()), {});
  stream_synchronize({});
  return there;
}

void MatrixInput::for_each_block(std::int64_t block_rows, const std::function<void(std::int64_t, const TensorView&)>& body) const {
  block_rows = std::clamp<std::int64_t>(block_rows, 1, rows());
  Workspace memory(plain_allocator(), static_cast<std::size_t>(block_rows * columns()) * size_of(dtype_), {}, {});
  for (std::int64_t first = 0; first < rows(); first += block_rows) {
    const TensorView block(memory.data(), dtype_, {std::min(block_rows, rows() - first), columns()});
    read_rows(first, block);
    file_.release_rows(first, block.shape[0]);
    body(first, block);
  }
}

void MatrixInput::for_each_block(std::int64_t block_rows, Device device,
                                 const std::function<void(std::int64_t, const TensorView&)>& body) const {
  if (device.kind == DeviceKind::cpu) return for_each_block(block_rows, body);
  Workspace memory(plain_allocator(), static_cast<std::size_t>(std::min(block_rows, rows()) * columns()) * size_of(dtype_), device, {});
  for_each_block(block_rows, [&](std::int64_t first, const TensorView& host) {
    const TensorView there(memory.data(), dtype_, {host.shape[0], host.shape[1]}, device);
    copy_async(there.data, host.data, static_cast<std::size_t>(host.bytes()), {});
    stream_synchronize({});
    body(first, there);
  });
}

void copy_to_host(const TensorView& source, const TensorView& destination) {
  if (source.device.kind == DeviceKind::cpu) return cpu_kernels().cast(source, destination, {});
  // Everything between its first and its last element, gaps included; the conversion drops them.
  std::int64_t span = source.numel() == 0 ? 0 : 1;
  for (int d = 0; span > 0 && d < source.dims; ++d) span += (source.shape[d] - 1) * source.strides[d];
  std::vector<std::byte> staged(static_cast<std::size_t>(span) * size_of(source.dtype));
  copy_async(staged.data(), source.data, staged.size(), {});
  stream_synchronize({});
  TensorView host = source;
  host.device = {};
  host.data = staged.data();
  cpu_kernels().cast(host, destination, {});
}

}  // namespace panther::tools
