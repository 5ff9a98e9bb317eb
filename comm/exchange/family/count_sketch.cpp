// The elements that are large in the *sum* over ranks, found without sending indices: count sketches of all ranks are summed, every rank reads the same k
// candidates from the sum, and their exact values are summed (SketchedSGD, Ivkin et al. 2019, arXiv 1903.04488; two-round form). Error feedback
// keeps the rest: ||v - C(v)||^2 = ||v||^2 minus what was sent. Nothing estimated is ever subtracted, which is how FetchSGD's form diverges.
//
// A light element looks heavy where it meets heavy ones in most rows: 10 d (k / columns)^3 of them with 5 rows. They waste places, no more.
//
// The gate: an estimate is off by about ||g|| / sqrt(columns), so heavy elements exist for this sketch when the k-th estimate exceeds twice that. Where it does
// not, the sketch was wasted: the next kRest steps send one element of every 1 / density instead, as `random_k` does, and no sketch.
#include <algorithm>
#include <cmath>
#include <limits>

#include "comm/exchange/alarm.h"
#include "comm/exchange/error_feedback.h"
#include "comm/exchange/shared_sample.h"
#include "core/error.h"
#include "kernels/pack/pack_kernels.h"

namespace panther {
namespace {

using comm::CodecMember;
using comm::CodecSettings;
using comm::CompressedPart;

/// Committed steps between a sketch without heavy elements and the next one.
constexpr std::int64_t kRest = 16;

std::int64_t columns_of(const CodecMember& member, const CodecSettings& settings) {
  const std::int64_t columns = settings.sketch_columns * sample_numel(member, settings);
  return (columns + kCountSketchBlock - 1) / kCountSketchBlock * kCountSketchBlock;
}

std::int64_t cells_of(const CodecMember& member, const CodecSettings& settings) { return settings.sketch_rows * columns_of(member, settings); }

bool pays(const CodecMember& member, const CodecSettings& settings) {
  return cells_of(member, settings) + sample_numel(member, settings) < member.numel && member.numel < (std::int64_t{1} << 32);
}

std::int64_t sketch_numel(const comm::BucketParts& parts, const CodecSettings& settings) {
  std::int64_t total = 0;
  for (const CompressedPart& part : parts.compressed()) total += cells_of(part.member, settings);
  return total;
}

std::int64_t values_numel(const comm::BucketParts& parts, const CodecSettings& settings) {
  std::int64_t total = parts.compressed().empty() ? 0 : 1;  // the alarm
  for (const CompressedPart& part : parts.compressed()) total += sample_numel(part.member, settings);
  return total;
}

std::size_t insert_scratch_bytes(const comm::BucketParts& parts, const CodecSettings& settings) {
  std::int64_t most = 0;
  for (const CompressedPart& part : parts.compressed()) {
    most = std::max(most, count_sketch_scratch({.rows = settings.sketch_rows, .columns = columns_of(part.member, settings)}, part.member.numel));
  }
  return parts.device().kind == DeviceKind::cpu ? 0 : static_cast<std::size_t>(most) * sizeof(std::uint32_t);
}

/// First the sketches of all parts that are not resting and the exact elements, then the chosen values and one element that is nan when a rank's
/// gradient is not finite.
class CountSketchCodec final : public comm::Codec {
 public:
  CountSketchCodec(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator)
      : settings_(settings), parts_(layout, settings, allocator, pays), feedback_(parts_, settings, 1.0 / static_cast<double>(sample_stride(settings)), allocator),
        cells_numel_(sketch_numel(parts_, settings)), values_numel_(values_numel(parts_, settings)),
        cells_(allocator, static_cast<std::size_t>(cells_numel_ + parts_.exact_numel()) * sizeof(float), layout.bucket.device, {}),
        values_(allocator, static_cast<std::size_t>(values_numel_) * sizeof(float), layout.bucket.device, {}),
        spare_(allocator, static_cast<std::size_t>(parts_.largest_numel()) * sizeof(float), layout.bucket.device, {}),
        sums_(allocator, settings.error_feedback ? 0 : static_cast<std::size_t>(parts_.compressed_numel()) * sizeof(float), layout.bucket.device, {}),
        scratch_(allocator, kTopKScratch * sizeof(std::uint32_t), layout.bucket.device, {}),
        insert_scratch_(allocator, insert_scratch_bytes(parts_, settings), layout.bucket.device, {}),
        chosen_(allocator, static_cast<std::size_t>(values_numel_) * sizeof(std::uint32_t), layout.bucket.device, {}),
        found_(allocator, static_cast<std::size_t>(values_numel_) * sizeof(float), layout.bucket.device, {}),
        energies_(allocator, static_cast<std::size_t>(settings.sketch_rows) * sizeof(double), layout.bucket.device, {}),
        energy_scratch_(allocator, kEnergyScratch * sizeof(double), layout.bucket.device, {}), alarm_(allocator, layout.bucket.device), rest_until_(parts_.compressed().size(), 0), next_rest_(rest_until_),
        kernels_(pack_kernels(layout.bucket.device.kind)) {}

  std::vector<comm::Stage> plan(std::int64_t) const override {
    const comm::Stage first{comm::Stage::Kind::all_reduce, DType::f32, cells_numel_ + parts_.exact_numel(), comm::ReduceOp::sum};
    if (parts_.compressed().empty()) return {first};
    return {first, {comm::Stage::Kind::all_reduce, DType::f32, values_numel_, comm::ReduceOp::sum}};
  }

  TensorView encode(std::size_t index, const comm::CodecCall& call) override { return index == 0 ? encode_sketches(call) : encode_values(call); }

  void decode(std::size_t index, const TensorView& wire, const comm::CodecCall& call) override {
    index == 0 ? decode_sketches(wire, call) : decode_values(wire, call);
  }

  bool linear() const override { return parts_.compressed().empty(); }
  bool keeps_bytes() const override { return true; }
  bool finite() const override { return alarm_.quiet(); }
  void commit() override {
    feedback_.commit();
    rest_until_ = next_rest_;
  }
  void rollback() override { next_rest_ = rest_until_; }
  comm::CodecHealth health() const override { return feedback_.health(); }

  void save_state(const comm::StateSink& put) const override {
    feedback_.save(put);
    for (std::size_t i = 0; i < rest_until_.size(); ++i) {
      std::int64_t until = rest_until_[i];
      put(rest_name(i), TensorView(&until, DType::i64, {1}));
    }
  }
  void load_state(const comm::StateSource& get) override {
    feedback_.load(get);
    for (std::size_t i = 0; i < rest_until_.size(); ++i) {
      if (!get(rest_name(i), TensorView(&rest_until_[i], DType::i64, {1}))) rest_until_[i] = 0;
    }
    next_rest_ = rest_until_;
  }
  std::uint64_t shared_digest() const override {
    std::uint64_t digest = 0;
    for (const std::int64_t until : rest_until_) digest = mix64(digest, static_cast<std::uint64_t>(until));
    return digest;
  }

 private:
  std::string rest_name(std::size_t i) const { return parts_.compressed()[i].member.name + "/count_sketch.rest"; }
  bool rests(std::size_t i, const comm::CodecCall& call) const { return call.step < rest_until_[i]; }
  CountSketch sketch_of(const CompressedPart& part, const comm::CodecCall& call) const {
    return {settings_.sketch_rows, columns_of(part.member, settings_), comm::member_key(part.member, settings_), static_cast<std::uint64_t>(call.step)};
  }
  /// v of a part, which becomes its residual.
  float* sum_of(const CompressedPart& part) const { return feedback_.enabled() ? feedback_.next(part) : static_cast<float*>(sums_.data()) + part.start; }

  TensorView encode_sketches(const comm::CodecCall& call) {
    parts_.load(call);
    feedback_.before(call);
    auto* at = static_cast<float*>(cells_.data());
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      if (rests(i, call)) continue;
      kernels_.count_sketch_insert({.sketch = sketch_of(part, call), .gradient = part.values.as<float>(), .residual = feedback_.residual(part), .sum = sum_of(part),
                                    .count = part.member.numel, .cells = at, .scratch = static_cast<std::uint32_t*>(insert_scratch_.data())}, call.stream);
      at += cells_of(part.member, settings_);
    }
    const TensorView exact(at, DType::f32, {parts_.exact_numel()}, parts_.device());
    parts_.pack_exact(exact, call);
    return TensorView(cells_.data(), DType::f32, {at - static_cast<float*>(cells_.data()) + parts_.exact_numel()}, parts_.device());
  }

  void decode_sketches(const TensorView& wire, const comm::CodecCall& call) {
    alarm_.reset(call);
    alarm_.watch(wire, call);
    next_rest_ = rest_until_;
    const auto* at = wire.as<float>();
    std::int64_t chosen = 0;
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      const std::int64_t begin = chosen;
      chosen += sample_numel(part.member, settings_);
      if (rests(i, call)) continue;
      const CountSketch sketch = sketch_of(part, call);
      const std::int64_t k = sample_numel(part.member, settings_);
      // The gradient is in the sum and in the residual: its place is free for the estimates.
      auto* estimates = part.values.as<float>();
      kernels_.count_sketch_estimate(sketch, at, part.member.numel, estimates, call.stream);
      kernels_.top_k({.gradient = estimates, .next = static_cast<float*>(spare_.data()), .count = part.member.numel, .k = k, .indices = indices(begin),
                      .values = static_cast<float*>(found_.data()), .scratch = static_cast<std::uint32_t*>(scratch_.data())}, call.stream);
      if (!heavy(sketch, at, k, call)) next_rest_[i] = call.step + 1 + kRest;
      at += cells_of(part.member, settings_);
    }
    parts_.unpack_exact(wire.slice(at - wire.as<float>(), parts_.exact_numel()), call);
  }

  /// Of the values from `begin` on.
  std::uint32_t* indices(std::int64_t begin) const { return static_cast<std::uint32_t*>(chosen_.data()) + begin; }

  /// True when the smallest of the k found estimates is worth twice the sketch's own error. The host must know: it decides what the next steps send.
  bool heavy(const CountSketch& sketch, const float* cells, std::int64_t k, const comm::CodecCall& call) {
    auto* energies = static_cast<double*>(energies_.data());
    kernels_.clear(energies, static_cast<std::int64_t>(energies_.bytes()), call.stream);
    for (std::int64_t row = 0; row < sketch.rows; ++row) {
      kernels_.add_energy(cells + row * sketch.columns, nullptr, sketch.columns, energies + row, static_cast<double*>(energy_scratch_.data()),
                          call.stream);
    }
    const auto* read = static_cast<const double*>(call.read_on_host(TensorView(energies, DType::f64, {sketch.rows}, parts_.device())));
    std::vector<double> squared(read, read + sketch.rows);
    std::nth_element(squared.begin(), squared.begin() + sketch.rows / 2, squared.end());
    const double error = std::sqrt(squared[static_cast<std::size_t>(sketch.rows / 2)] / static_cast<double>(sketch.columns));
    const auto* found = static_cast<const float*>(call.read_on_host(TensorView(found_.data(), DType::f32, {k}, parts_.device())));
    float least = std::numeric_limits<float>::infinity();
    for (std::int64_t j = 0; j < k; ++j) least = std::min(least, std::abs(found[j]));
    return static_cast<double>(least) > 2 * error;
  }

  TensorView encode_values(const comm::CodecCall& call) {
    const TensorView wire(values_.data(), DType::f32, {values_numel_}, parts_.device());
    float* alarm = wire.as<float>() + values_numel_ - 1;
    kernels_.clear(alarm, sizeof(float), call.stream);
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      const std::int64_t k = sample_numel(part.member, settings_);
      float* at = wire.as<float>() + begin;
      if (rests(i, call)) {
        kernels_.sample({.gradient = part.values.as<float>(), .residual = feedback_.residual(part), .next = sum_of(part), .count = part.member.numel,
                         .stride = sample_stride(settings_), .key = comm::member_key(part.member, settings_), .step = static_cast<std::uint64_t>(call.step),
                         .unbiased = false, .values = at, .alarm = alarm}, call.stream);
      } else {
        kernels_.take_elements(sum_of(part), indices(begin), k, true, at, call.stream);
      }
      begin += k;
    }
    feedback_.after(call);
    return wire;
  }

  void decode_values(const TensorView& wire, const comm::CodecCall& call) {
    alarm_.watch(wire, call);
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      const std::int64_t k = sample_numel(part.member, settings_);
      const float* at = wire.as<float>() + begin;
      auto* values = part.values.as<float>();
      if (rests(i, call)) {
        kernels_.place(at, part.member.numel, sample_stride(settings_), comm::member_key(part.member, settings_), static_cast<std::uint64_t>(call.step), values, call.stream);
      } else {
        kernels_.clear(values, part.values.bytes(), call.stream);
        kernels_.put_elements(at, indices(begin), k, false, part.member.numel, values, alarm_.value(), call.stream);
      }
      begin += k;
    }
    alarm_.spoil(parts_, call);
    parts_.store(call);
  }

  CodecSettings settings_;
  comm::BucketParts parts_;
  comm::ErrorFeedback feedback_;
  std::int64_t cells_numel_, values_numel_;
  Workspace cells_;
  Workspace values_;
  Workspace spare_;                                  // what top_k leaves over
  Workspace sums_;                                   // v where no residual keeps it
  Workspace scratch_;                                // of top_k
  Workspace insert_scratch_;
  Workspace chosen_;                                 // indices of the values that are sent, part after part
  Workspace found_;                                  // the estimates of one part there
  Workspace energies_;                               // of a sketch's rows
  Workspace energy_scratch_;
  comm::Alarm alarm_;
  std::vector<std::int64_t> rest_until_;             // step before which a part sends samples and no sketch; the same on all ranks
  std::vector<std::int64_t> next_rest_;              // what the running step makes of it
  const PackKernels& kernels_;
};

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) {
  return std::make_unique<CountSketchCodec>(layout, settings, allocator);
}

void check(std::span<const CodecMember>, const CodecSettings& settings) {
  PANTHER_REQUIRE(settings.sketch_rows % 2 == 1, "comm.codec.sketch_rows = ", settings.sketch_rows, ": a median needs an odd number of rows; use 1, 3 or 5");
}

}  // namespace

void register_count_sketch(comm::CodecRegistry& registry);
void register_count_sketch(comm::CodecRegistry& registry) { registry.add("count_sketch", {make, check}); }

}  // namespace panther
