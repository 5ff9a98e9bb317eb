#pragma once
// Four neighbouring entries of a Gaussian or uniform sketch. Compiled with --fmad=false, so that they have the CPU's bits.
#include "kernels/element/gaussian.h"
#include "kernels/element/uniform.h"
#include "kernels/sketch/dense_kernels.h"

namespace panther::cuda {

/// Elements [4 * block, 4 * block + 4) of a vector, absolute indices.
__device__ inline NormalBlock real_block(const DenseSketch& sketch, std::uint32_t vector, std::uint32_t block) {
  const bool normal = sketch.distribution == DenseDistribution::gaussian;
  const auto domain = static_cast<std::uint32_t>(normal ? RandomDomain::gaussian : RandomDomain::uniform);
  const PhiloxBlock words = philox({{block, vector, sketch.key.epoch, domain}}, PhiloxKey::from(sketch.key.key));
  if (normal) return normal_block(words);
  NormalBlock entries;
  for (int w = 0; w < 4; ++w) entries.value[w] = uniform_unit_variance(words.word[w]);
  return entries;
}

}  // namespace panther::cuda
