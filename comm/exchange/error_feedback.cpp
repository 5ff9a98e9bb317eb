#include "comm/exchange/error_feedback.h"

#include <cmath>

namespace panther::comm {
namespace {

constexpr std::size_t kGradientEnergy = 0, kSumEnergy = 1, kLeftEnergy = 2, kValues = 3;

}  // namespace

ErrorFeedback::ErrorFeedback(const BucketParts& parts, const CodecSettings& settings, double contraction, Allocator& allocator)
    : parts_(parts), kernels_(pack_kernels(parts.device().kind)), bound_(settings.residual_limit / contraction),
      state_(parts, kResidual, settings.error_feedback, allocator), energies_(allocator, enabled() ? kValues : 0, parts.device()),
      scratch_(allocator, enabled() ? kEnergyScratch * sizeof(double) : 0, parts.device(), {}) {}

void ErrorFeedback::add_energy(const float* gradient, const float* waiting, const CompressedPart& part, std::size_t to, const CodecCall& call) const {
  kernels_.add_energy(gradient, waiting, part.member.numel, energies_.at(to), static_cast<double*>(scratch_.data()), call.stream);
}

void ErrorFeedback::before(const CodecCall& call) {
  if (!guards(call)) return;
  energies_.clear(call);
  for (const CompressedPart& part : parts_.compressed()) {
    add_energy(part.values.as<float>(), nullptr, part, kGradientEnergy, call);
    add_energy(part.values.as<float>(), residual(part), part, kSumEnergy, call);
  }
}

void ErrorFeedback::after(const CodecCall& call) {
  if (!guards(call)) return;
  for (const CompressedPart& part : parts_.compressed()) add_energy(next(part), nullptr, part, kLeftEnergy, call);
  energies_.publish(call);
  if (bound_ == 0) return;
  for (const CompressedPart& part : parts_.compressed()) {
    kernels_.limit_energy(next(part), part.member.numel, energies_.at(kLeftEnergy), energies_.at(kGradientEnergy), bound_, call.stream);
  }
}

CodecHealth ErrorFeedback::health() const noexcept {
  CodecHealth health;
  if (!energies_.published()) return health;
  const double gradient = energies_.seen(kGradientEnergy), sum = energies_.seen(kSumEnergy), left = energies_.seen(kLeftEnergy);
  // No gradient (a rank without samples) says nothing about the residual, nor does a step that was not finite.
  if (!(gradient > 0) || !std::isfinite(gradient + sum + left)) return health;
  health.residual_ratio = std::sqrt(left / gradient);
  if (sum > 0) health.relative_error = std::sqrt(left / sum);
  return health;
}

}  // namespace panther::comm
