#include "runtime/tensor/view_of.h"

#include <ATen/ops/from_blob.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <string>
#include <string_view>

#include "core/error.h"

namespace panther::runtime {

DType dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble: return DType::f64;
    case at::kFloat: return DType::f32;
    case at::kBFloat16: return DType::bf16;
    case at::kHalf: return DType::f16;
    case at::kLong: return DType::i64;
    case at::kInt: return DType::i32;
    case at::kByte: return DType::u8;
    default:
      fail(ErrorCode::Unsupported, "tensors of dtype ", at::toString(tensor.scalar_type()),
           " cannot be viewed; convert to f64 f32 bf16 f16 i64 i32 or u8");
  }
}

at::ScalarType scalar_type_of(DType dtype) {
  switch (dtype) {
    case DType::f64: return at::kDouble;
    case DType::f32: return at::kFloat;
    case DType::bf16: return at::kBFloat16;
    case DType::f16: return at::kHalf;
    case DType::i64: return at::kLong;
    case DType::i32: return at::kInt;
    case DType::u8: return at::kByte;
  }
  fail(ErrorCode::Internal, "dtype ", static_cast<int>(dtype), " has no torch counterpart");
}

at::Device torch_device(Device device) {
  if (device.kind == DeviceKind::cpu) return at::kCPU;
  return {at::kCUDA, static_cast<at::DeviceIndex>(device.index)};
}

TensorView view_of(const at::Tensor& tensor) {
  TensorView view;
  view.dtype = dtype_of(tensor);
  PANTHER_REQUIRE(tensor.layout() == at::kStrided, "only strided tensors can be viewed, this one is ", tensor.layout());
  PANTHER_REQUIRE(tensor.is_cpu() || tensor.is_cuda(), "only CPU and CUDA tensors can be viewed, this one is on ", tensor.device());
  PANTHER_REQUIRE(tensor.dim() <= TensorView::kMaxDims, "a view has at most 8 dimensions, the tensor has ", tensor.dim());
  view.data = tensor.numel() == 0 ? nullptr : tensor.data_ptr();
  if (tensor.is_cuda()) view.device = {DeviceKind::cuda, tensor.device().index()};
  view.dims = static_cast<int>(tensor.dim());
  for (int d = 0; d < view.dims; ++d) {
    view.shape[static_cast<std::size_t>(d)] = tensor.size(d);
    view.strides[static_cast<std::size_t>(d)] = tensor.stride(d);
  }
  return view;
}

at::Tensor tensor_over(const TensorView& view) {
  const auto dims = static_cast<std::size_t>(view.dims);
  const auto options = at::TensorOptions(torch_device(view.device)).dtype(scalar_type_of(view.dtype));
  return at::from_blob(view.data, {view.shape.data(), dims}, {view.strides.data(), dims}, options);
}

Stream current_stream(Device device) {
  if (device.kind == DeviceKind::cpu) return {};
  const c10::impl::VirtualGuardImpl guard(at::kCUDA);
  return {guard.getStream(torch_device(device)).native_handle()};
}

Device parse_device(const std::string& name, int local_rank) {
  if (name == "cpu") return {};
  const std::string_view text = name;
  PANTHER_REQUIRE(text.starts_with("cuda"), "device '", name, "' is not known; use cpu, cuda (one device per local rank) or cuda:<index>");
  int index = local_rank;
  if (text.size() > 4) {
    const std::string_view digits = text.substr(5);
    const bool numeric = text[4] == ':' && !digits.empty() && digits.size() <= 3 && digits.find_first_not_of("0123456789") == digits.npos;
    PANTHER_REQUIRE(numeric, "device '", name, "' is not known; use cpu, cuda (one device per local rank) or cuda:<index>");
    index = std::stoi(std::string(digits));
  }
  runtime_kernels(DeviceKind::cuda);
  const int count = static_cast<int>(c10::impl::VirtualGuardImpl(at::kCUDA).deviceCount());
  PANTHER_REQUIRE(index < count, "device '", name, "' for local rank ", local_rank, ": this host shows ", count,
                  " CUDA device(s); start fewer ranks per host or check CUDA_VISIBLE_DEVICES");
  return {DeviceKind::cuda, index};
}

}  // namespace panther::runtime
