// The k = round(density d) elements of largest magnitude of every matrix, as (index, value) pairs of 8 bytes to every other rank; error
// feedback keeps the rest (Stich et al. 2018, arXiv 1809.07599). ||v - C(v)||^2 <= (1 - k/d) ||v||^2. Exact selection, ties to the
// lower index. Not linear: ranks choose different elements; the union is summed in rank order.
#include <algorithm>
#include <cmath>

#include "comm/exchange/error_feedback.h"
#include "comm/exchange/gather_wire.h"
#include "core/error.h"
#include "kernels/pack/pack_kernels.h"

namespace panther {
namespace {

using comm::CodecMember;
using comm::CodecSettings;
using comm::CompressedPart;

std::int64_t chosen_of(const CodecMember& member, const CodecSettings& settings) {
  return std::clamp<std::int64_t>(std::llround(settings.density * static_cast<double>(member.numel)), 1, member.numel);
}

/// An index is as long as a value.
bool pays(const CodecMember& member, const CodecSettings& settings) {
  return 2 * chosen_of(member, settings) < member.numel && member.numel < (std::int64_t{1} << 32);
}

std::vector<std::int64_t> sizes_of(const comm::BucketParts& parts, const CodecSettings& settings) {
  std::vector<std::int64_t> sizes;
  for (const CompressedPart& part : parts.compressed()) sizes.push_back(chosen_of(part.member, settings) * 8);
  return sizes;
}

std::size_t spare_bytes(const comm::BucketParts& parts, const CodecSettings& settings) {
  return settings.error_feedback ? 0 : static_cast<std::size_t>(parts.largest_numel()) * sizeof(float);
}

class TopK final : public comm::Codec {
 public:
  TopK(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator)
      : settings_(settings), parts_(layout, settings, allocator, pays), feedback_(parts_, settings, settings.density, allocator),
        wire_(parts_, sizes_of(parts_, settings), layout, allocator), spare_(allocator, spare_bytes(parts_, settings), layout.bucket.device, {}),
        scratch_(allocator, kTopKScratch * sizeof(std::uint32_t), layout.bucket.device, {}), alarm_(allocator, layout.bucket.device), kernels_(pack_kernels(layout.bucket.device.kind)) {}

  std::vector<comm::Stage> plan(std::int64_t) const override { return wire_.plan(); }

  TensorView encode(std::size_t, const comm::CodecCall& call) override {
    parts_.load(call);
    feedback_.before(call);
    wire_.pack_exact(call);
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      const std::int64_t k = chosen_of(part.member, settings_);
      auto* indices = reinterpret_cast<std::uint32_t*>(wire_.own_part(i));
      kernels_.top_k({.gradient = part.values.as<float>(), .residual = feedback_.residual(part),
                      .next = feedback_.enabled() ? feedback_.next(part) : static_cast<float*>(spare_.data()), .count = part.member.numel, .k = k,
                      .indices = indices, .values = reinterpret_cast<float*>(indices + k), .scratch = static_cast<std::uint32_t*>(scratch_.data())}, call.stream);
    }
    feedback_.after(call);
    return wire_.own();
  }

  void decode(std::size_t, const TensorView& wire, const comm::CodecCall& call) override {
    alarm_.reset(call);
    wire_.unpack_exact(wire, alarm_, call);
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      kernels_.clear(part.values.data, part.values.bytes(), call.stream);
      for (const std::byte* source : wire_.sources(wire, i)) add(part, source, call);
    }
    alarm_.spoil(parts_, call);
    parts_.store(call);
  }

  bool linear() const override { return parts_.compressed().empty(); }
  bool keeps_bytes() const override { return true; }
  bool finite() const override { return alarm_.quiet(); }
  void commit() override { feedback_.commit(); }
  comm::CodecHealth health() const override { return feedback_.health(); }
  void save_state(const comm::StateSink& put) const override { feedback_.save(put); }
  void load_state(const comm::StateSource& get) override { feedback_.load(get); }

 private:
  void add(const CompressedPart& part, const std::byte* source, const comm::CodecCall& call) const {
    const std::int64_t k = chosen_of(part.member, settings_);
    const auto* indices = reinterpret_cast<const std::uint32_t*>(source);
    const auto* values = reinterpret_cast<const float*>(indices + k);
    if (parts_.device().kind == DeviceKind::cpu) check(part, {indices, static_cast<std::size_t>(k)});  // a device skips what is out of range and raises the alarm
    alarm_.watch(TensorView(const_cast<float*>(values), DType::f32, {k}, parts_.device()), call);
    kernels_.put_elements(values, indices, k, true, part.member.numel, part.values.as<float>(), alarm_.value(), call.stream);
  }
  static void check(const CompressedPart& part, std::span<const std::uint32_t> indices) {
    const auto wrong = std::find_if(indices.begin(), indices.end(), [&](std::uint32_t index) { return index >= part.member.numel; });
    if (wrong == indices.end()) return;
    fail(ErrorCode::Corrupt, "a rank sent index ", *wrong, " of the gradient '", part.member.name, "', which has ", part.member.numel, " elements");
  }

  CodecSettings settings_;
  comm::BucketParts parts_;
  comm::ErrorFeedback feedback_;
  comm::GatherWire wire_;
  Workspace spare_;
  Workspace scratch_;
  comm::Alarm alarm_;
  const PackKernels& kernels_;
};

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) {
  return std::make_unique<TopK>(layout, settings, allocator);
}

}  // namespace

void register_top_k(comm::CodecRegistry& registry);
void register_top_k(comm::CodecRegistry& registry) { registry.add("top_k", {make}); }

}  // namespace panther
