#include <algorithm>

#include "kernels/check_arguments.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/optimizer.h"

namespace panther::cpu {
namespace {

template <class T>
PANTHER_VECTORISED void adamw_range(const AdamWFactors<T>& f, std::int64_t count, T* __restrict parameter, const T* __restrict gradient,
                                    T* __restrict first, T* __restrict second) {
  for (std::int64_t i = 0; i < count; ++i) adamw_element(f, parameter[i], gradient[i], first[i], second[i]);
}

template <class T>
PANTHER_VECTORISED void sgd_range(const SgdFactors<T>& f, std::int64_t count, T* __restrict parameter, const T* __restrict gradient) {
  for (std::int64_t i = 0; i < count; ++i) sgd_element(f, parameter[i], gradient[i]);
}

template <class T>
PANTHER_VECTORISED void sgd_momentum_range(const SgdFactors<T>& f, std::int64_t count, T* __restrict parameter, const T* __restrict gradient,
                                           T* __restrict velocity) {
  for (std::int64_t i = 0; i < count; ++i) sgd_momentum_element(f, parameter[i], gradient[i], velocity[i]);
}

/// Calls body(tensor, first, count) over ranges that cover every element of every tensor once, spread evenly over a fixed
/// number of tasks, so that many small tensors cost one parallel region and not one each.
template <class Body>
void over_ranges(std::span<const OptimizerTensor> tensors, const Body& body) {
  constexpr std::int64_t kTasks = 64;
  std::int64_t total = 0;
  for (const OptimizerTensor& tensor : tensors) total += tensor.parameter.numel();
  // A multiple of 16 elements keeps neighbouring tasks off each other's cache lines.
  const std::int64_t share = ((total + kTasks - 1) / kTasks + 15) / 16 * 16;
  if (total == 0) return;
  parallel_for((total + share - 1) / share, total * 2, [&](std::int64_t task) {
    std::int64_t begin = task * share;
    const std::int64_t end = std::min(total, begin + share);
    std::int64_t start = 0;
    for (const OptimizerTensor& tensor : tensors) {
      const std::int64_t size = tensor.parameter.numel(), stop = std::min(end, start + size);
      if (begin < stop) {
        body(tensor, begin - start, stop - begin);
        begin = stop;
      }
      start += size;
      if (start >= end) return;
    }
  });
}

template <class T>
void adamw_part(const OptimizerTensor& t, const AdamWStep& step, std::int64_t first, std::int64_t count) {
  adamw_range(adamw_factors<T>(step, t.lr, t.weight_decay), count, t.parameter.as<T>() + first, t.gradient.as<const T>() + first,
              t.first_moment.as<T>() + first, t.second_moment.as<T>() + first);
}

template <class T>
void sgd_part(const OptimizerTensor& t, const SgdStep& step, std::int64_t first, std::int64_t count) {
  const SgdFactors<T> factors = sgd_factors<T>(step, t.lr, t.weight_decay);
  T* parameter = t.parameter.as<T>() + first;
  const T* gradient = t.gradient.as<const T>() + first;
  if (step.momentum == 0) return sgd_range(factors, count, parameter, gradient);
  sgd_momentum_range(factors, count, parameter, gradient, t.first_moment.as<T>() + first);
}

}  // namespace

void adamw(std::span<const OptimizerTensor> tensors, const AdamWStep& step, Stream) {
  check::optimizer("adamw", tensors, 2);
  over_ranges(tensors, [&](const OptimizerTensor& tensor, std::int64_t first, std::int64_t count) {
    if (tensor.parameter.dtype == DType::f64) return adamw_part<double>(tensor, step, first, count);
    adamw_part<float>(tensor, step, first, count);
  });
}

void sgd(std::span<const OptimizerTensor> tensors, const SgdStep& step, Stream) {
  check::optimizer("sgd", tensors, step.momentum == 0 ? 0 : 1);
  over_ranges(tensors, [&](const OptimizerTensor& tensor, std::int64_t first, std::int64_t count) {
    if (tensor.parameter.dtype == DType::f64) return sgd_part<double>(tensor, step, first, count);
    sgd_part<float>(tensor, step, first, count);
  });
}

}  // namespace panther::cpu
