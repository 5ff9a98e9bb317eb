#include <ATen/autocast_mode.h>

#include "core/error.h"
#include "runtime/tensor/torch_error.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

at::Tensor ramp(at::IntArrayRef shape, at::ScalarType dtype, double scale) {
  const std::int64_t n = c10::multiply_integers(shape);
  return (at::arange(n, at::kDouble).mul(0.7).sin() * scale).view(shape).to(dtype);
}

TEST(TensorBridge, ViewsShareMemoryShapeAndStrides) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf, at::kLong, at::kInt, at::kByte}) {
    const at::Tensor tensor = at::arange(24, at::kLong).view({2, 3, 4}).to(dtype).transpose(0, 2).slice(1, 1);
    const TensorView view = view_of(tensor);
    EXPECT_EQ(view.data, tensor.data_ptr());
    EXPECT_EQ(scalar_type_of(view.dtype), dtype);
    const at::Tensor back = tensor_over(view);
    EXPECT_TRUE(at::equal(back, tensor));
    EXPECT_EQ(back.strides(), tensor.strides());
    back.zero_();
    EXPECT_EQ(tensor.sum().item<double>(), 0);
  }
  EXPECT_EQ(view_of(at::empty({0, 3})).numel(), 0);
}

ErrorCode code_of(const c10::Error& error) { return error_from(error).code(); }

TEST(TorchErrors, SayWhoMustAct) {
  const c10::SourceLocation here{__func__, __FILE__, __LINE__};
  EXPECT_EQ(code_of(c10::OutOfMemoryError(here, "CUDA out of memory")), ErrorCode::OutOfMemory);
  EXPECT_EQ(code_of(c10::Error(here, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 51200000000 bytes")), ErrorCode::OutOfMemory);
  EXPECT_EQ(code_of(c10::Error(here, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")), ErrorCode::OutOfMemory);
  EXPECT_EQ(code_of(c10::AcceleratorError(here, 700, "CUDA error: an illegal memory access was encountered")), ErrorCode::DeviceFault);
  EXPECT_EQ(code_of(c10::ValueError(here, "expected 2 dimensions")), ErrorCode::Internal);
  EXPECT_NE(error_from(c10::Error(here, "CUDA error: out of memory")).message().find("train.global_batch"), std::string::npos);
}

TEST(TensorBridge, RefusesWhatAViewCannotSay) {
  EXPECT_THROW(view_of(at::zeros({2}, at::kBool)), Error);
  EXPECT_THROW(view_of(at::zeros({1, 1, 1, 1, 1, 1, 1, 1, 1})), Error);
}

struct GemmCase {
  std::int64_t m, n, k;
  double alpha, beta;
  bool bias;
};

void check_gemm(const GemmCase& c, at::ScalarType dtype, double tolerance) {
  // Every operand once plain and once transposed in memory.
  for (int layout = 0; layout < 8; ++layout) {
    const auto matrix = [&](std::int64_t rows, std::int64_t cols, bool transposed, double scale) {
      return transposed ? ramp({cols, rows}, dtype, scale).t() : ramp({rows, cols}, dtype, scale);
    };
    const at::Tensor a = matrix(c.m, c.k, layout & 1, 1.0), b = matrix(c.k, c.n, layout & 2, 0.5);
    at::Tensor out = matrix(c.m, c.n, layout & 4, 2.0);
    if (c.beta == 0 && out.numel() > 0) out.fill_(std::numeric_limits<double>::quiet_NaN());
    const at::Tensor bias = ramp({c.n}, dtype, 3.0);
    at::Tensor expected = c.alpha * at::matmul(a.to(at::kDouble), b.to(at::kDouble));
    if (c.beta != 0) expected += c.beta * out.to(at::kDouble);
    if (c.bias) expected += bias.to(at::kDouble);
    const void* before = out.data_ptr();
    runtime_kernels(DeviceKind::cpu).gemm(c.alpha, view_of(a), view_of(b), c.beta, view_of(out), c.bias ? view_of(bias) : TensorView{}, {}, {});
    EXPECT_EQ(out.data_ptr(), before);
    if (out.numel() == 0) continue;
    const double worst = (out.to(at::kDouble) - expected).abs().max().item<double>();
    EXPECT_LE(worst, tolerance * (1 + expected.abs().max().item<double>())) << c.m << "x" << c.k << "x" << c.n << " layout " << layout;
  }
}

TEST(RuntimeKernels, GemmIsTheProduct) {
  for (const GemmCase& c : {GemmCase{3, 5, 7, 1, 0, false}, GemmCase{3, 5, 7, 0.25, 0, true}, GemmCase{8, 1, 4, -2, 1, false},
                            GemmCase{1, 6, 9, 1.5, 0.5, true}, GemmCase{4, 3, 0, 2, 0, true}, GemmCase{4, 3, 0, 2, 3, false},
                            GemmCase{0, 3, 2, 1, 0, false}, GemmCase{64, 48, 32, 1, 1, true}}) {
    check_gemm(c, at::kDouble, 1e-14);
    check_gemm(c, at::kFloat, 1e-5);
    check_gemm(c, at::kBFloat16, 1.0 / 64);
  }
}

TEST(RuntimeKernels, GemmStaysOutsideAutogradAndAutocast) {
  const at::Tensor a = at::ones({4, 4}).requires_grad_(true);
  at::Tensor c = at::empty({4, 4});
  at::autocast::set_autocast_enabled(at::kCPU, true);
  runtime_kernels(DeviceKind::cpu).gemm(1.0 / 3, view_of(a), view_of(a), 0, view_of(c), {}, {}, {});
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_FALSE(c.requires_grad());
  EXPECT_FLOAT_EQ(c[0][0].item<float>(), 4.0f / 3);
  const c10::InferenceMode inference;
  at::Tensor d = at::empty({4, 4});
  runtime_kernels(DeviceKind::cpu).gemm(1, view_of(c), view_of(c), 0, view_of(d), {}, {}, {});
  EXPECT_FLOAT_EQ(d[1][1].item<float>(), 64.0f / 9);
}

TEST(TorchAllocator, AlignsAndTakesNothing) {
  const Workspace some(torch_allocator(), 1000, {}, {});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(some.data()) % 256, 0u);
  const Workspace none(torch_allocator(), 0, {}, {});
  EXPECT_EQ(none.data(), nullptr);
}

TEST(ParseDevice, SaysWhatIsWrong) {
  EXPECT_EQ(parse_device("cpu", 3), Device{});
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cudax", "cuda:1234", ""}) {
    try {
      parse_device(name, 0);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument) << name;
      EXPECT_NE(error.message().find("use cpu, cuda"), std::string::npos) << name;
    }
  }
  if (cuda_kernels() != nullptr) GTEST_SKIP() << "a CUDA device is here";
  try {
    parse_device("cuda", 0);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  }
}

}  // namespace
}  // namespace panther::runtime
