#include "runtime/layers/init.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/philox.h"

namespace panther::runtime {
namespace {

/// Elements [begin, end) of the stream; four normals per Philox block.
template <class T>
void fill_normal(T* out, std::int64_t begin, std::int64_t end, PhiloxKey key, double std) {
  for (std::int64_t block = begin / 4; block * 4 < end; ++block) {
    const auto index = static_cast<std::uint64_t>(block);
    const PhiloxBlock words = philox({{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), 0,
                                       static_cast<std::uint32_t>(RandomDomain::init)}}, key);
    double normal[4];
    for (int pair = 0; pair < 4; pair += 2) {
      const double radius = std * std::sqrt(-2.0 * std::log(static_cast<double>(uniform_open(words.word[pair]))));
      const double angle = 2.0 * std::numbers::pi * static_cast<double>(uniform_open(words.word[pair + 1]));
      normal[pair] = radius * std::cos(angle);
      normal[pair + 1] = radius * std::sin(angle);
    }
    for (std::int64_t i = std::max(begin, block * 4); i < std::min(end, block * 4 + 4); ++i) out[i] = static_cast<T>(normal[i - block * 4]);
  }
}

template <class T>
void fill_parallel(const at::Tensor& tensor, PhiloxKey key, double std) {
  T* out = tensor.data_ptr<T>();
  at::parallel_for(0, tensor.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) { fill_normal(out, begin, end, key, std); });
}

}  // namespace

void init_normal_(const at::Tensor& tensor, std::uint64_t seed, std::string_view path, double std) {
  const at::NoGradGuard no_grad;
  const PhiloxKey key = PhiloxKey::from(mix64(seed, hash_name(path.data(), path.size())));
  const bool is_double = tensor.scalar_type() == at::kDouble;
  const bool in_place = tensor.is_cpu() && tensor.is_contiguous() && (is_double || tensor.scalar_type() == at::kFloat);
  const at::Tensor values = in_place ? tensor : at::empty(tensor.sizes(), at::TensorOptions(at::kCPU).dtype(is_double ? at::kDouble : at::kFloat));
  if (is_double) fill_parallel<double>(values, key, std);
  else fill_parallel<float>(values, key, std);
  if (!in_place) tensor.copy_(values);
}

}  // namespace panther::runtime
