// One element of every 1 / density consecutive ones of a matrix, chosen by a counter that all ranks share (seed, parameter, step), so
// no index travels and the values can be summed: linear, one all_reduce of density d floats (Wangni et al. 2018 and Stich et al. 2018
// with shared randomness; stratified, so groups replace the random permutation).
//
// With error feedback the chosen values are sent as they are: E ||v - C(v)||^2 = (1 - k/d) ||v||^2. Without, they are multiplied by the
// inverse probability: unbiased, variance (d/k - 1) ||g||^2, which ranks do not average out, since they share the choice.
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

std::int64_t chosen_of(const CodecMember& member, const CodecSettings& settings) {
  return (member.numel + stride_of(settings) - 1) / stride_of(settings);
}

bool pays(const CodecMember&, const CodecSettings& settings) { return stride_of(settings) >= 2; }

std::int64_t wire_numel(const comm::BucketParts& parts, const CodecSettings& settings) {
  std::int64_t total = parts.compressed().empty() ? 0 : 1;  // the alarm
  for (const CompressedPart& part : parts.compressed()) total += chosen_of(part.member, settings);
  return total + parts.exact_numel();
}

/// The wire: values of every part, exact elements, and one element that is nan when a rank's gradient is not finite: elements that
/// were not chosen say nothing of themselves.
class RandomK final : public comm::Codec {
 public:
  RandomK(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator)
      : settings_(settings), parts_("random_k", layout, settings, allocator, pays),
        feedback_(parts_, settings, 1.0 / static_cast<double>(stride_of(settings)), allocator), count_(wire_numel(parts_, settings)),
        memory_(allocator, static_cast<std::size_t>(count_) * sizeof(float), layout.bucket.device, {}), kernels_(pack_kernels(layout.bucket.device.kind)) {}

  std::vector<comm::Stage> plan(std::int64_t) const override {
    return {{comm::Stage::Kind::all_reduce, DType::f32, count_, comm::ReduceOp::sum}};
  }

  TensorView encode(std::size_t, const comm::CodecCall& call) override {
    parts_.load(call);
    feedback_.before(call);
    const TensorView wire(memory_.data(), DType::f32, {count_});
    std::int64_t at = 0;
    bool finite = true;
    for (const CompressedPart& part : parts_.compressed()) {
      finite = kernels_.sample({.gradient = part.values.as<float>(), .residual = feedback_.residual(part), .next = feedback_.next(part),
                                .count = part.member.numel, .stride = stride_of(settings_), .key = key_of(part),
                                .step = static_cast<std::uint64_t>(call.step), .unbiased = !feedback_.enabled(), .values = wire.as<float>() + at}) && finite;
      at += chosen_of(part.member, settings_);
    }
    parts_.pack_exact(wire.slice(at, parts_.exact_numel()), call);
    if (!parts_.compressed().empty()) wire.as<float>()[count_ - 1] = finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
    feedback_.after(call);
    return wire;
  }

  void decode(std::size_t, const TensorView& wire, const comm::CodecCall& call) override {
    finite_ = comm::BucketParts::all_finite(wire);
    std::int64_t at = 0;
    for (const CompressedPart& part : parts_.compressed()) {
      kernels_.place(wire.as<float>() + at, part.member.numel, stride_of(settings_), key_of(part), static_cast<std::uint64_t>(call.step), part.values.as<float>());
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
  std::uint64_t key_of(const CompressedPart& part) const { return comm::member_key(part.member, settings_); }

  CodecSettings settings_;
  comm::BucketParts parts_;
  comm::ErrorFeedback feedback_;
  std::int64_t count_;
  Workspace memory_;
  const PackKernels& kernels_;
  bool finite_ = true;
};

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) {
  return std::make_unique<RandomK>(layout, settings, allocator);
}

}  // namespace

void register_random_k(comm::CodecRegistry& registry);
void register_random_k(comm::CodecRegistry& registry) { registry.add("random_k", {make}); }

}  // namespace panther
