#include "comm/exchange/shared_sample.h"

#include <cmath>

#include "comm/exchange/alarm.h"
#include "comm/exchange/error_feedback.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

std::int64_t sample_stride(const CodecSettings& settings) { return std::llround(1 / settings.density); }

std::int64_t sample_numel(const CodecMember& member, const CodecSettings& settings) { return (member.numel + sample_stride(settings) - 1) / sample_stride(settings); }

namespace {

bool pays(const CodecMember&, const CodecSettings& settings) { return sample_stride(settings) >= 2; }

std::int64_t wire_numel(const BucketParts& parts, const CodecSettings& settings) {
  std::int64_t total = parts.compressed().empty() ? 0 : 1;  // the alarm
  for (const CompressedPart& part : parts.compressed()) total += sample_numel(part.member, settings);
  return total + parts.exact_numel();
}

/// Rotated coefficients, where no residual has room for them.
std::size_t spare_bytes(const BucketParts& parts, const CodecSettings& settings, bool rotated) {
  return settings.error_feedback || !rotated ? 0 : static_cast<std::size_t>(parts.largest_numel()) * sizeof(float);
}

/// The wire: values of every part, exact elements, and one element that is nan when a rank's gradient is not finite: elements that were not chosen say nothing of
/// themselves.
class SharedSample final : public Codec {
 public:
  SharedSample(bool rotated, const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator)
      : settings_(settings), rotated_(rotated), parts_(layout, settings, allocator, pays),
        feedback_(parts_, settings, 1.0 / static_cast<double>(sample_stride(settings)), allocator), count_(wire_numel(parts_, settings)),
        memory_(allocator, static_cast<std::size_t>(count_) * sizeof(float), layout.bucket.device, {}),
        spare_(allocator, spare_bytes(parts_, settings, rotated), layout.bucket.device, {}), alarm_(allocator, layout.bucket.device),
        kernels_(pack_kernels(layout.bucket.device.kind)) {}

  std::vector<Stage> plan(std::int64_t) const override { return {{Stage::Kind::all_reduce, DType::f32, count_, ReduceOp::sum}}; }

  TensorView encode(std::size_t, const CodecCall& call) override {
    parts_.load(call);
    feedback_.before(call);
    const TensorView wire(memory_.data(), DType::f32, {count_}, parts_.device());
    float* alarm = wire.as<float>() + count_ - 1;
    if (!parts_.compressed().empty()) kernels_.clear(alarm, sizeof(float), call.stream);
    std::int64_t at = 0;
    for (const CompressedPart& part : parts_.compressed()) {
      sample(part, wire.as<float>() + at, alarm, call);
      at += sample_numel(part.member, settings_);
    }
    parts_.pack_exact(wire.slice(at, parts_.exact_numel()), call);
    feedback_.after(call);
    return wire;
  }

  void decode(std::size_t, const TensorView& wire, const CodecCall& call) override {
    alarm_.reset(call);
    alarm_.watch(wire, call);
    const auto step = static_cast<std::uint64_t>(call.step);
    std::int64_t at = 0;
    for (const CompressedPart& part : parts_.compressed()) {
      const std::uint64_t key = member_key(part.member, settings_);
      auto* values = part.values.as<float>();
      kernels_.place(wire.as<float>() + at, part.member.numel, sample_stride(settings_), key, step, values, call.stream);
      if (rotated_) kernels_.rotate({.in = values, .out = values, .count = part.member.numel, .key = key, .step = step, .inverse = true}, call.stream);
      at += sample_numel(part.member, settings_);
    }
    alarm_.spoil(parts_, call);
    parts_.store(call);
    parts_.unpack_exact(wire.slice(at, parts_.exact_numel()), call);
  }

  bool linear() const override { return true; }
  bool keeps_bytes() const override { return true; }
  bool finite() const override { return alarm_.quiet(); }
  void commit() override { feedback_.commit(); }
  CodecHealth health() const override { return feedback_.health(); }
  void save_state(const StateSink& put) const override { feedback_.save(put); }
  void load_state(const StateSource& get) override { feedback_.load(get); }

 private:
  /// Values of a part, and what it leaves as its residual.
  void sample(const CompressedPart& part, float* values, float* alarm, const CodecCall& call) const {
    const std::uint64_t key = member_key(part.member, settings_);
    const auto step = static_cast<std::uint64_t>(call.step);
    const std::int64_t count = part.member.numel;
    SampleArguments arguments{.gradient = part.values.as<float>(), .residual = feedback_.residual(part), .next = feedback_.next(part), .count = count,
                              .stride = sample_stride(settings_), .key = key, .step = step, .unbiased = !feedback_.enabled(), .values = values, .alarm = alarm};
    if (!rotated_) return kernels_.sample(arguments, call.stream);
    float* coefficients = feedback_.enabled() ? feedback_.next(part) : static_cast<float*>(spare_.data());
    kernels_.rotate({.in = arguments.gradient, .residual = arguments.residual, .out = coefficients, .count = count, .key = key, .step = step, .alarm = alarm}, call.stream);
    arguments.gradient = coefficients;
    arguments.residual = nullptr;
    kernels_.sample(arguments, call.stream);
    if (feedback_.enabled()) kernels_.rotate({.in = coefficients, .out = coefficients, .count = count, .key = key, .step = step, .inverse = true}, call.stream);
  }

  CodecSettings settings_;
  bool rotated_;
  BucketParts parts_;
  ErrorFeedback feedback_;
  std::int64_t count_;
  Workspace memory_;
  Workspace spare_;
  Alarm alarm_;
  const PackKernels& kernels_;
};

}  // namespace

std::unique_ptr<Codec> make_shared_sample(bool rotated, const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) {
  return std::make_unique<SharedSample>(rotated, layout, settings, allocator);
}

}  // namespace panther::comm
