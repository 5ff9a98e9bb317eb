#include "comm/exchange/error_feedback.h"

#include <cmath>
#include <cstring>

namespace panther::comm {
namespace {

std::size_t bytes_of(const BucketParts& parts, const CodecSettings& settings) {
  return settings.error_feedback ? static_cast<std::size_t>(parts.compressed_numel()) * 2 * sizeof(float) : 0;
}

std::string name_of(const CompressedPart& part) { return part.member.name + kResidual; }

}  // namespace

ErrorFeedback::ErrorFeedback(const BucketParts& parts, const CodecSettings& settings, double contraction, Allocator& allocator)
    : parts_(parts), enabled_(settings.error_feedback && !parts.compressed().empty()), bound_(settings.residual_limit / contraction),
      memory_(allocator, bytes_of(parts, settings), {}, {}) {
  if (enabled_) std::memset(memory_.data(), 0, memory_.bytes());
}

void ErrorFeedback::before(const CodecCall& call) {
  if (!guards(call)) return;
  std::vector<TensorView> gradients;
  for (const CompressedPart& part : parts_.compressed()) gradients.push_back(part.values);
  call.kernels.sum_of_squares(gradients, TensorView(&gradient_squared_, DType::f64, {}), call.stream);
  sum_squared_ = 0;
  for (const CompressedPart& part : parts_.compressed()) {
    const float *gradient = part.values.as<float>(), *waiting = residual(part);
    for (std::int64_t i = 0; i < part.member.numel; ++i) sum_squared_ += std::pow(static_cast<double>(gradient[i]) + static_cast<double>(waiting[i]), 2);
  }
}

void ErrorFeedback::after(const CodecCall& call) {
  if (!guards(call) || gradient_squared_ == 0) return;  // no gradient (a rank without samples) says nothing about the residual
  std::vector<TensorView> residuals;
  for (const CompressedPart& part : parts_.compressed()) residuals.emplace_back(next(part), DType::f32, std::initializer_list<std::int64_t>{part.member.numel});
  double squared = 0;
  call.kernels.sum_of_squares(residuals, TensorView(&squared, DType::f64, {}), call.stream);
  health_.residual_ratio = std::sqrt(squared / gradient_squared_);
  if (sum_squared_ > 0) health_.relative_error = std::sqrt(squared / sum_squared_);
  const double allowed = bound_ * std::sqrt(gradient_squared_);
  if (bound_ == 0 || !(std::sqrt(squared) > allowed)) return;
  for (const TensorView& residual : residuals) call.kernels.scale(allowed / std::sqrt(squared), residual, call.stream);
}

void ErrorFeedback::save(const StateSink& put) const {
  if (!enabled_) return;
  for (const CompressedPart& part : parts_.compressed()) {
    put(name_of(part), TensorView(current() + part.start, DType::f32, {part.member.rows, part.member.columns}));
  }
}

void ErrorFeedback::load(const StateSource& get) {
  if (!enabled_) return;
  for (const CompressedPart& part : parts_.compressed()) {
    const TensorView residual(current() + part.start, DType::f32, {part.member.rows, part.member.columns});
    if (!get(name_of(part), residual)) std::memset(residual.data, 0, static_cast<std::size_t>(residual.bytes()));
  }
}

}  // namespace panther::comm
