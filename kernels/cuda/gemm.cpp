// Matrix products by cuBLASLt: one handle per device, the heuristic's choice remembered per problem, split-K only with a
// workspace and never through the output's dtype.
#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>

#include "core/error.h"
#include "kernels/check_arguments.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/entries.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/precision.h"
#include "kernels/cuda/tile_product.h"

namespace panther::cuda {
namespace {

void check_blas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const ErrorCode code = status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCode::OutOfMemory : ErrorCode::DeviceFault;
  fail(code, what, ": ", cublasLtGetStatusString(status));
}

template <class Handle, cublasStatus_t (*destroy)(Handle)>
struct Destroy {
  using pointer = Handle;
  void operator()(Handle handle) const noexcept { static_cast<void>(destroy(handle)); }
};
using Operation = std::unique_ptr<cublasLtMatmulDesc_t, Destroy<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>>;
using MatrixLayout = std::unique_ptr<cublasLtMatrixLayout_t, Destroy<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>>;
using Preference = std::unique_ptr<cublasLtMatmulPreference_t, Destroy<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>>;

/// A matrix as cuBLAS sees memory: stored by columns with a leading dimension, maybe transposed.
struct Stored {
  bool usable = false;
  bool transposed = false;
  std::int64_t leading = 0;
};

/// Of a view read as rows x columns, column-major.
Stored stored_by_columns(const TensorView& view) {
  const std::int64_t rows = view.shape[0], columns = view.shape[1];
  // The stride of a dimension of size 1 is arbitrary and never used.
  const std::int64_t row_stride = rows == 1 ? 1 : view.strides[0], column_stride = columns == 1 ? std::max<std::int64_t>(rows, 1) : view.strides[1];
  if (row_stride == 1 && column_stride >= rows) return {true, false, column_stride};
  const std::int64_t wide = rows == 1 ? std::max<std::int64_t>(columns, 1) : view.strides[0];
  if ((columns == 1 || view.strides[1] == 1) && wide >= columns) return {true, true, wide};
  return {};
}

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::f64: return CUDA_R_64F;
    case DType::f32: return CUDA_R_32F;
    case DType::bf16: return CUDA_R_16BF;
    case DType::f16: return CUDA_R_16F;
    case DType::i64: case DType::i32: case DType::u8: break;
  }
  fail(ErrorCode::Internal, "gemm: no cuBLAS type");
}

/// Everything the heuristic's answer depends on.
struct Problem {
  DType dtype, out_dtype;
  bool tf32, left_transposed, right_transposed, biased;
  cublasLtEpilogue_t epilogue;
  std::int64_t aux_leading;
  std::int64_t m, n, k, left_leading, right_leading, out_leading;
  std::size_t workspace_bytes;
  std::uint32_t left_alignment, right_alignment, out_alignment;
  auto key() const {
    return std::tuple(dtype, out_dtype, tf32, left_transposed, right_transposed, biased, epilogue, aux_leading, m, n, k, left_leading, right_leading, out_leading, workspace_bytes,
                      left_alignment, right_alignment, out_alignment);
  }
  bool operator<(const Problem& other) const { return key() < other.key(); }
};

/// nullopt: cuBLASLt has nothing for the problem.
using Choice = std::optional<cublasLtMatmulAlgo_t>;

struct DeviceState {
  std::mutex mutex;
  cublasLtHandle_t handle = nullptr;
  std::map<Problem, Choice> choices;
};

DeviceState& state_of(int device) {
  static std::array<DeviceState, 64> states;
  PANTHER_REQUIRE(device >= 0 && device < 64, "gemm: device ", device, " is beyond 64");
  DeviceState& state = states[static_cast<std::size_t>(device)];
  const std::lock_guard lock(state.mutex);
  if (state.handle == nullptr) check_blas(cublasLtCreate(&state.handle), "cublasLtCreate");
  return state;
}

/// The largest power of two up to 256 that divides the address.
std::uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  return address == 0 ? 256u : 1u << std::min(8, std::countr_zero(address));
}

struct Descriptors {
  Operation operation;
  MatrixLayout left, right, out;
};

template <class Value>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
  check_blas(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
}

template <class Value>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, const Value& value) {
  check_blas(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value), "cublasLtMatmulPreferenceSetAttribute");
}

MatrixLayout make_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns, std::int64_t leading) {
  cublasLtMatrixLayout_t layout = nullptr;
  check_blas(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), leading),
             "cublasLtMatrixLayoutCreate");
  return MatrixLayout(layout);
}

Descriptors describe(const Problem& p, const void* bias, void* aux) {
  const cudaDataType_t type = data_type(p.dtype);
  const bool wide = p.dtype == DType::f64;
  const cublasComputeType_t compute = wide ? CUBLAS_COMPUTE_64F : p.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  cublasLtMatmulDesc_t operation = nullptr;
  check_blas(cublasLtMatmulDescCreate(&operation, compute, wide ? CUDA_R_64F : CUDA_R_32F), "cublasLtMatmulDescCreate");
  Descriptors d{Operation(operation), {}, {}, {}};
  set(operation, CUBLASLT_MATMUL_DESC_TRANSA, p.left_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(operation, CUBLASLT_MATMUL_DESC_TRANSB, p.right_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, p.epilogue);
  if (p.biased) set(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  if (aux != nullptr) {
    set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
    set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p.aux_leading);
  }
  d.left = p.left_transposed ? make_layout(type, p.k, p.m, p.left_leading) : make_layout(type, p.m, p.k, p.left_leading);
  d.right = p.right_transposed ? make_layout(type, p.n, p.k, p.right_leading) : make_layout(type, p.k, p.n, p.right_leading);
  d.out = make_layout(data_type(p.out_dtype), p.m, p.n, p.out_leading);
  return d;
}

Choice ask_heuristic(cublasLtHandle_t handle, const Problem& p, const Descriptors& d) {
  cublasLtMatmulPreference_t raw = nullptr;
  check_blas(cublasLtMatmulPreferenceCreate(&raw), "cublasLtMatmulPreferenceCreate");
  const Preference preference(raw);
  set(raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, p.workspace_bytes);
  set(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.left_alignment);
  set(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.right_alignment);
  set(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.out_alignment);
  set(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.out_alignment);
  // Parts of a split sum meet in the accumulator's type: never rounded in between, and in a fixed order.
  set(raw, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle, d.operation.get(), d.left.get(), d.right.get(), d.out.get(), d.out.get(), raw, 1,
                                                               &result, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || found == 0) return std::nullopt;
  check_blas(status, "cublasLtMatmulAlgoGetHeuristic");
  return result.algo;
}

Choice choice_for(DeviceState& state, const Problem& p, const Descriptors& d) {
  constexpr std::size_t kRemembered = 4096;
  const std::lock_guard lock(state.mutex);
  const auto known = state.choices.find(p);
  if (known != state.choices.end()) return known->second;
  if (state.choices.size() >= kRemembered) state.choices.clear();
  return state.choices.emplace(p, ask_heuristic(state.handle, p, d)).first->second;
}

/// cuBLASLt's name for an epilogue; nullopt when it has none (erf's GELU; relu's pre-activation, of which it keeps one bit).
std::optional<cublasLtEpilogue_t> epilogue_of(const LinearEpilogue& e) {
  const bool biased = e.bias_O.data != nullptr, aux = e.aux_BO.data != nullptr;
  switch (e.activation) {
    case Activation::none:
      if (aux) return std::nullopt;
      return biased ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    case Activation::relu:
      if (aux) return std::nullopt;
      return biased ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
    case Activation::gelu: return std::nullopt;
    case Activation::gelu_tanh:
      if (aux) return biased ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
      return biased ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
  }
  return std::nullopt;
}

/// False when cuBLASLt cannot do it. Views are read by columns: out[m, n] = left[m, k] right[k, n], bias over rows of out.
bool multiply(double alpha, const TensorView& left, const TensorView& right, double beta, const TensorView& out, const LinearEpilogue& finish,
              std::span<std::byte> workspace, cudaStream_t stream) {
  const TensorView& bias = finish.bias_O;
  const auto epilogue = epilogue_of(finish);
  if (!epilogue) return false;
  const TensorView& aux = finish.aux_BO;
  if (aux.data != nullptr && (aux.strides[0] != 1 || aux.strides[1] % 8 != 0 || alignment_of(aux.data) < 16)) return false;
  const Stored l = stored_by_columns(left), r = stored_by_columns(right), o = stored_by_columns(out);
  if (!l.usable || !r.usable || !o.usable || o.transposed) return false;
  const bool biased = bias.data != nullptr;
  if (biased && ((bias.shape[0] > 1 && bias.strides[0] != 1) || alignment_of(bias.data) < 16)) return false;
  DeviceState& state = state_of(out.device.index);
  const Problem problem{left.dtype, out.dtype, left.dtype == DType::f32 && cuda_tf32(), l.transposed, r.transposed, biased, *epilogue, aux.data == nullptr ? 0 : aux.strides[1], out.shape[0], out.shape[1], left.shape[1],
                        l.leading, r.leading, o.leading, workspace.size(), alignment_of(left.data), alignment_of(right.data), alignment_of(out.data)};
  const Descriptors d = describe(problem, bias.data, aux.data);
  const Choice choice = choice_for(state, problem, d);
  if (!choice) return false;
  const float alpha32 = static_cast<float>(alpha), beta32 = static_cast<float>(beta);
  const bool wide = out.dtype == DType::f64;
  const cublasStatus_t status =
      cublasLtMatmul(state.handle, d.operation.get(), wide ? static_cast<const void*>(&alpha) : &alpha32, left.data, d.left.get(), right.data,
                     d.right.get(), wide ? static_cast<const void*>(&beta) : &beta32, out.data, d.out.get(), out.data, d.out.get(), &*choice,
                     workspace.data(), workspace.size(), stream);
  check_blas(status, "cublasLtMatmul");
  return true;
}

/// A row-major c is the column-major c^T = b^T a^T, whose bias runs along its rows as cuBLASLt's does. A c stored by columns goes
/// as it is, without a bias, which would run the other way.
bool multiply_either_way(double alpha, const TensorView& a, const TensorView& b, double beta, const TensorView& c, const TensorView& bias,
                         std::span<std::byte> workspace, cudaStream_t stream) {
  if (multiply(alpha, b.transposed(), a.transposed(), beta, c.transposed(), {bias, Activation::none, {}}, workspace, stream)) return true;
  return bias.data == nullptr && multiply(alpha, a, b, beta, c, {}, workspace, stream);
}

}  // namespace

bool gemm_widening(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, std::span<std::byte> workspace, Stream stream) {
  const DeviceScope scope(c_MN.device.index);
  return multiply_either_way(alpha, a_MK, b_KN, beta, c_MN, {}, workspace, native(stream));
}

bool gemm_with_epilogue(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const LinearEpilogue& epilogue,
                        std::span<std::byte> workspace, Stream stream) {
  if (a_MK.shape[1] == 0) return false;
  const DeviceScope scope(c_MN.device.index);
  LinearEpilogue by_columns = epilogue;
  if (epilogue.aux_BO.data != nullptr) by_columns.aux_BO = epilogue.aux_BO.transposed();
  return multiply(alpha, b_KN.transposed(), a_MK.transposed(), beta, c_MN.transposed(), by_columns, workspace, native(stream));
}

void gemm(double alpha, const TensorView& a_MK, const TensorView& b_KN, double beta, const TensorView& c_MN, const TensorView& bias_N,
          std::span<std::byte> workspace, Stream stream) {
  check::gemm(a_MK, b_KN, c_MN, bias_N);
  if (c_MN.numel() == 0) return;
  const DeviceScope scope(c_MN.device.index);
  if (a_MK.shape[1] > 0) {
    if (multiply_either_way(alpha, a_MK, b_KN, beta, c_MN, bias_N, workspace, native(stream))) return;
    if (bias_N.data != nullptr && beta == 0) {
      // No such epilogue (f64; a c stored by columns; an odd address): c starts as the bias, which the product then adds to.
      TensorView repeated = bias_N;
      repeated.dims = 2;
      repeated.shape = c_MN.shape;
      repeated.strides = {0, bias_N.strides[0]};
      cast(repeated, c_MN, stream);
      return gemm(alpha, a_MK, b_KN, 1.0, c_MN, TensorView{}, workspace, stream);
    }
  }
  tile_gemm(alpha, a_MK, b_KN, beta, c_MN, bias_N, native(stream));
}

}  // namespace panther::cuda
