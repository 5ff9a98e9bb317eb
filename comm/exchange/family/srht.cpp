// A subsampled randomized Hadamard transform that all ranks share: signs, an orthonormal transform of pieces, then one coefficient of every 1 / density
// consecutive ones, all by counters (seed, parameter, step). Linear: one all_reduce of density d floats and no index (Ailon, Chazelle 2009; as a
// gradient compressor e.g. Ivkin et al. 2019). As good as `random_k` on average and on every gradient alike: the transform spreads what is
// concentrated in few elements, which `random_k` finds or misses.
//
// With error feedback the coefficients are sent as they are, an orthogonal projection: E ||v - C(v)||^2 = (1 - k/d) ||v||^2. Without, they are multiplied by
// the inverse probability: unbiased, variance (d/k - 1) ||g||^2, which ranks do not average out, since they share the choice.
#include <cmath>
#include <limits>

#include "comm/exchange/error_feedback.h"
#include "kernels/pack/pack_kernels.h"

namespace panther {
namespace {

using comm::CodecMember;
using comm::CodecSettings;
using comm::CompressedPart;

std::int64_t stride_of(const CodecSettings& settings) { return std::llround(1 / settings.density); }

std::int64_t chosen_of(const CodecMember& member, const CodecSettings& settings) { return (member.numel + stride_of(settings) - 1) / stride_of(settings); }

bool pays(const CodecMember&, const CodecSettings& settings) { return stride_of(settings) >= 2; }

std::int64_t wire_numel(const comm::BucketParts& parts, const CodecSettings& settings) {
  std::int64_t total = parts.compressed().empty() ? 0 : 1;  // the alarm
  for (const CompressedPart& part : parts.compressed()) total += chosen_of(part.member, settings);
  return total + parts.exact_numel();
}

std::size_t spare_bytes(const comm::BucketParts& parts, const CodecSettings& settings) {
  std::int64_t largest = 0;
  for (const CompressedPart& part : parts.compressed()) largest = std::max(largest, part.member.numel);
  return settings.error_feedback ? 0 : static_cast<std::size_t>(largest) * sizeof(float);
}

/// The wire: coefficients of every part, exact elements, and one element that is nan when a rank's gradient is not finite.
class Srht final : public comm::Codec {
 public:
  Srht(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator)
      : settings_(settings), parts_("srht", layout, settings, allocator, pays),
        feedback_(parts_, settings, 1.0 / static_cast<double>(stride_of(settings)), allocator), count_(wire_numel(parts_, settings)),
        memory_(allocator, static_cast<std::size_t>(count_) * sizeof(float), layout.bucket.device, {}),
        spare_(allocator, spare_bytes(parts_, settings), layout.bucket.device, {}), kernels_(pack_kernels(layout.bucket.device.kind)) {}

  std::vector<comm::Stage> plan(std::int64_t) const override { return {{comm::Stage::Kind::all_reduce, DType::f32, count_, comm::ReduceOp::sum}}; }

  TensorView encode(std::size_t, const comm::CodecCall& call) override {
    parts_.load(call);
    feedback_.before(call);
    const TensorView wire(memory_.data(), DType::f32, {count_});
    const auto step = static_cast<std::uint64_t>(call.step);
    std::int64_t at = 0;
    bool finite = true;
    for (const CompressedPart& part : parts_.compressed()) {
      const std::uint64_t key = comm::member_key(part.member, settings_);
      float* rotated = feedback_.enabled() ? feedback_.next(part) : static_cast<float*>(spare_.data());
      finite = kernels_.rotate({.in = part.values.as<float>(), .residual = feedback_.residual(part), .out = rotated, .count = part.member.numel, .key = key, .step = step}) && finite;
      kernels_.sample({.gradient = rotated, .next = feedback_.next(part), .count = part.member.numel, .stride = stride_of(settings_), .key = key, .step = step,
                       .unbiased = !feedback_.enabled(), .values = wire.as<float>() + at});
      if (feedback_.enabled()) kernels_.rotate({.in = rotated, .out = rotated, .count = part.member.numel, .key = key, .step = step, .inverse = true});
      at += chosen_of(part.member, settings_);
    }
    parts_.pack_exact(wire.slice(at, parts_.exact_numel()), call);
    if (!parts_.compressed().empty()) wire.as<float>()[count_ - 1] = finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
    feedback_.after(call);
    return wire;
  }

  void decode(std::size_t, const TensorView& wire, const comm::CodecCall& call) override {
    finite_ = comm::BucketParts::all_finite(wire);
    const auto step = static_cast<std::uint64_t>(call.step);
    std::int64_t at = 0;
    for (const CompressedPart& part : parts_.compressed()) {
      const std::uint64_t key = comm::member_key(part.member, settings_);
      auto* values = part.values.as<float>();
      kernels_.place(wire.as<float>() + at, part.member.numel, stride_of(settings_), key, step, values);
      kernels_.rotate({.in = values, .out = values, .count = part.member.numel, .key = key, .step = step, .inverse = true});
      at += chosen_of(part.member, settings_);
    }
    parts_.store(call);
    parts_.unpack_exact(wire.slice(at, parts_.exact_numel()), call);
    if (!finite_) parts_.poison();
  }

  bool linear() const override { return true; }
  bool keeps_bytes() const override { return true; }
  bool finite() const override { return finite_; }
  void commit() override { feedback_.commit(); }
  comm::CodecHealth health() const override { return feedback_.health(); }
  void save_state(const comm::StateSink& put) const override { feedback_.save(put); }
  void load_state(const comm::StateSource& get) override { feedback_.load(get); }

 private:
  CodecSettings settings_;
  comm::BucketParts parts_;
  comm::ErrorFeedback feedback_;
  std::int64_t count_;
  Workspace memory_;
  Workspace spare_;
  const PackKernels& kernels_;
  bool finite_ = true;
};

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) {
  return std::make_unique<Srht>(layout, settings, allocator);
}

}  // namespace

void register_srht(comm::CodecRegistry& registry);
void register_srht(comm::CodecRegistry& registry) { registry.add("srht", {make}); }

}  // namespace panther
