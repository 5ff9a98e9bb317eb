#include "tools/bench/bench_matrix.h"

#include <cmath>
#include <vector>

#include "kernels/cuda/device_memory.h"
#include "kernels/sketch/operator.h"

namespace panther::bench {
namespace {

void fill_normal(const KernelSet& kernels, const char* name, double scale, const TensorView& out) {
  const SketchContext context{kernels, plain_allocator(), {}};
  make_sketch({.kind = "gaussian", .rows = out.shape[0], .columns = out.shape[1], .seed = 11, .name = name})
      ->materialize(context, {}, scale, out);
}

}  // namespace

Matrix normal_matrix(const KernelSet& kernels, DType dtype, std::int64_t rows, std::int64_t columns) {
  Matrix result(plain_allocator(), {kernels.device, 0}, {}, dtype, rows, columns);
  fill_normal(kernels, "bench.normal", 1, result.view());
  return result;
}

Matrix falling_matrix(const KernelSet& kernels, DType dtype, std::int64_t n) {
  // On the host in f64, element by element: (I - 2 v v^T) D (I - 2 w w^T) = D - 2 v (D v)^T - 2 (D w) w^T + 4 (v^T D w) v w^T.
  const auto size = static_cast<std::size_t>(n);
  std::vector<double> v(size), w(size), d(size);
  double v_norm = 0, w_norm = 0, middle = 0;
  fill_normal(cpu_kernels(), "bench.v", 1, TensorView(v.data(), DType::f64, {n, 1}));
  fill_normal(cpu_kernels(), "bench.w", 1, TensorView(w.data(), DType::f64, {n, 1}));
  for (std::size_t i = 0; i < size; ++i) v_norm += v[i] * v[i], w_norm += w[i] * w[i];
  for (std::size_t i = 0; i < size; ++i) {
    v[i] /= std::sqrt(v_norm);
    w[i] /= std::sqrt(w_norm);
    d[i] = 1 / static_cast<double>(i + 1);
    middle += v[i] * d[i] * w[i];
  }
  const Matrix host(plain_allocator(), {}, {}, DType::f64, n, n);
  for (std::size_t j = 0; j < size; ++j)
    for (std::size_t i = 0; i < size; ++i)
      host.view().as<double>()[j * size + i] =
          (i == j ? d[i] : 0) - 2 * v[i] * d[j] * v[j] - 2 * d[i] * w[i] * w[j] + 4 * middle * v[i] * w[j];
  Matrix converted(plain_allocator(), {}, {}, dtype, n, n);
  cpu_kernels().cast(host.view(), converted.view(), {});
  if (kernels.device == DeviceKind::cpu) return converted;
  Matrix there(plain_allocator(), {kernels.device, 0}, {}, dtype, n, n);
  copy_async(there.view().data, converted.view().data, static_cast<std::size_t>(converted.view().bytes()), {});
  stream_synchronize({});
  return there;
}

}  // namespace panther::bench
