#include "comm/exchange/gradient_momentum.h"

#include <cstring>

namespace panther::comm {
namespace {

std::string name_of(const CompressedPart& part) { return part.member.name + "/momentum"; }

}  // namespace

GradientMomentum::GradientMomentum(const BucketParts& parts, double keep, Allocator& allocator)
    : parts_(parts), keep_(static_cast<float>(keep)),
      memory_(allocator, keep > 0 ? static_cast<std::size_t>(parts.compressed_numel()) * 2 * sizeof(float) : 0, {}, {}) {
  if (memory_.bytes() > 0) std::memset(memory_.data(), 0, memory_.bytes());
}

const float* GradientMomentum::take_in(const CompressedPart& part, const PackKernels& kernels) const {
  const auto* gradient = part.values.as<float>();
  if (keep_ == 0) return gradient;
  kernels.running_mean(keep_, half(flipped_) + part.start, gradient, part.member.numel, half(!flipped_) + part.start);
  return half(!flipped_) + part.start;
}

void GradientMomentum::save(const StateSink& put) const {
  if (keep_ == 0) return;
  for (const CompressedPart& part : parts_.compressed()) put(name_of(part), TensorView(half(flipped_) + part.start, DType::f32, {part.member.rows, part.member.columns}));
}

void GradientMomentum::load(const StateSource& get) {
  if (keep_ == 0) return;
  for (const CompressedPart& part : parts_.compressed()) {
    const TensorView value(half(flipped_) + part.start, DType::f32, {part.member.rows, part.member.columns});
    if (!get(name_of(part), value)) std::memset(value.data, 0, static_cast<std::size_t>(value.bytes()));
  }
}

}  // namespace panther::comm
