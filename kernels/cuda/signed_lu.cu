#include "kernels/cuda/signed_lu.h"

#include "core/error.h"
#include "kernels/cuda/device.cuh"
#include "kernels/linalg/lapack_arguments.h"

namespace panther::cuda {
namespace {

constexpr int kLuThreads = 512;
constexpr int kLuRows = kWarp;  ///< threads of a warp take rows, warps take columns
constexpr int kLuColumns = kLuThreads / kLuRows;

template <class T>
__global__ void __launch_bounds__(kLuThreads, 1) signed_lu_kernel(T* a, std::int64_t leading, int size, T* signs) {
  extern __shared__ __align__(16) unsigned char memory[];
  T* m = reinterpret_cast<T*>(memory);  // size x size by columns
  const int row = static_cast<int>(threadIdx.x) % kLuRows, column = static_cast<int>(threadIdx.x) / kLuRows;
  for (int j = column; j < size; j += kLuColumns) {
    for (int i = row; i < size; i += kLuRows) m[i + j * size] = a[i + j * leading];
  }
  __syncthreads();
  for (int k = 0; k < size; ++k) {
    const T pivot = m[k + k * size], sign = pivot < 0 ? T{1} : T{-1}, raised = pivot - sign;
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < size; i += kLuThreads) {
      if (i > k) m[i + k * size] /= raised;
      else if (i == k) m[k + k * size] = raised, signs[k] = sign;
    }
    __syncthreads();
    for (int j = k + 1 + column; j < size; j += kLuColumns) {
      const T top = m[k + j * size];
      for (int i = k + 1 + row; i < size; i += kLuRows) m[i + j * size] -= m[i + k * size] * top;
    }
    __syncthreads();
  }
  for (int j = column; j < size; j += kLuColumns) {
    for (int i = row; i < size; i += kLuRows) a[i + j * leading] = m[i + j * size];
  }
}

template <class T>
struct Split {
  T* a;
  const T* signs;
  const T* r;
  T* tau;
  T* u;
  T* t;
  std::int64_t a_leading, r_leading, u_leading, t_leading, size;
};

template <class T>
__global__ void split_kernel(const __grid_constant__ Split<T> s) {
  for (std::int64_t j = blockIdx.x; j < s.size; j += gridDim.x) {
    for (std::int64_t i = threadIdx.x; i < s.size; i += kThreads) {
      T& entry = s.a[i + j * s.a_leading];
      const T upper = i <= j ? entry : T{0}, t = -upper * s.signs[j];
      s.u[i + j * s.u_leading] = upper;
      s.t[i + j * s.t_leading] = i <= j ? t : T{0};
      if (i <= j) entry = s.signs[i] * s.r[i + j * s.r_leading];
      if (i == j) s.tau[j] = t;
    }
  }
}

template <class T>
void factor(const TensorView& a, const TensorView& signs, Stream stream) {
  const auto size = static_cast<int>(a.shape[0]);
  const auto shared = static_cast<std::size_t>(size * size) * sizeof(T);
  check_status(cudaFuncSetAttribute(signed_lu_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)), "cudaFuncSetAttribute");
  signed_lu_kernel<T><<<1, kLuThreads, shared, native(stream)>>>(a.as<T>(), linalg::leading_dimension(a), size, signs.as<T>());
  check_launch("signed_lu");
}

}  // namespace

std::int64_t signed_lu_side(int device) {
  constexpr std::int64_t kSides[] = {128, 96};  // f64: 128 KiB, 72 KiB
  const int limit = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return limit >= static_cast<int>(kSides[0] * kSides[0] * sizeof(double)) ? kSides[0] : kSides[1];
}

void signed_lu(const TensorView& a_NN, const TensorView& signs_N, Stream stream) {
  PANTHER_CHECK(a_NN.shape[0] <= signed_lu_side(a_NN.device.index), "signed_lu: ", a_NN.shape[0], " columns are too many");
  if (a_NN.numel() == 0) return;
  const DeviceScope scope(a_NN.device.index);
  a_NN.dtype == DType::f64 ? factor<double>(a_NN, signs_N, stream) : factor<float>(a_NN, signs_N, stream);
}

void split_signed_lu(const TensorView& a_NN, const TensorView& signs_N, const TensorView& r_NN, const TensorView& tau_N, const TensorView& u_NN, const TensorView& t_NN,
                     Stream stream) {
  if (a_NN.numel() == 0) return;
  const DeviceScope scope(a_NN.device.index);
  const auto launch = [&](auto real) {
    using T = decltype(real);
    const Split<T> split{a_NN.as<T>(), signs_N.as<const T>(), r_NN.as<const T>(), tau_N.as<T>(), u_NN.as<T>(), t_NN.as<T>(), linalg::leading_dimension(a_NN),
                         linalg::leading_dimension(r_NN), linalg::leading_dimension(u_NN), linalg::leading_dimension(t_NN), a_NN.shape[0]};
    split_kernel<T><<<static_cast<unsigned>(std::min<std::int64_t>(a_NN.shape[0], kMaxBlocks)), kThreads, 0, native(stream)>>>(split);
  };
  a_NN.dtype == DType::f64 ? launch(double{}) : launch(float{});
  check_launch("split_signed_lu");
}

}  // namespace panther::cuda
