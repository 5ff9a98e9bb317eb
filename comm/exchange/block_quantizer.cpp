#include "comm/exchange/block_quantizer.h"

#include <algorithm>

#include "comm/exchange/error_feedback.h"
#include "comm/exchange/gather_wire.h"
#include "comm/exchange/gradient_momentum.h"

namespace panther::comm {
namespace {

std::vector<std::int64_t> sizes_of(const BucketParts& parts, const QuantizeFormat& format) {
  std::vector<std::int64_t> sizes;
  for (const CompressedPart& part : parts.compressed()) sizes.push_back(quantized_bytes(format, part.member.numel));
  return sizes;
}

class BlockQuantizer final : public Codec {
 public:
  BlockQuantizer(const BlockQuantizerOptions& options, const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator)
      : format_(options.format), stochastic_(options.stochastic), settings_(settings), rank_(layout.rank), parts_(layout, settings, allocator),
        momentum_(parts_, options.momentum, allocator), feedback_(parts_, settings, options.contraction, allocator),
        wire_(parts_, sizes_of(parts_, options.format), layout, allocator), alarm_(allocator, parts_.device()),
        kernels_(pack_kernels(layout.bucket.device.kind)) {}

  std::vector<Stage> plan(std::int64_t) const override { return wire_.plan(); }

  TensorView encode(std::size_t, const CodecCall& call) override {
    parts_.load(call);
    feedback_.before(call);
    wire_.pack_exact(call);
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      // Ranks round independently, so that their errors average out.
      const std::uint64_t key = mix64(member_key(part.member, settings_), static_cast<std::uint64_t>(rank_));
      kernels_.quantize({.format = format_, .gradient = momentum_.take_in(part, kernels_, call.stream), .residual = feedback_.residual(part), .next = feedback_.next(part),
                         .count = part.member.numel, .packed = wire_.own_part(i), .stochastic = stochastic_, .key = key,
                         .step = static_cast<std::uint64_t>(call.step)},
                        call.stream);
    }
    feedback_.after(call);
    return wire_.own();
  }

  void decode(std::size_t, const TensorView& wire, const CodecCall& call) override {
    alarm_.reset(call);
    wire_.unpack_exact(wire, alarm_, call);
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      const std::vector<const std::byte*> sources = wire_.sources(wire, i);
      for (std::size_t first = 0; first < sources.size(); first += kMostQuantizedSources) {
        const auto some = std::span(sources).subspan(first, std::min(kMostQuantizedSources, sources.size() - first));
        kernels_.dequantize_sum(format_, some, part.member.numel, first > 0, part.values.as<float>(), call.stream);
      }
      for (const std::byte* source : sources) alarm_.watch_scales(source, quantize_blocks(format_, part.member.numel), call);
    }
    alarm_.spoil(parts_, call);
    parts_.store(call);
  }

  bool linear() const override { return parts_.compressed().empty(); }
  bool keeps_bytes() const override { return true; }
  bool finite() const override { return alarm_.quiet(); }
  void commit() override {
    momentum_.commit();
    feedback_.commit();
  }
  CodecHealth health() const override { return feedback_.health(); }
  void save_state(const StateSink& put) const override {
    momentum_.save(put);
    feedback_.save(put);
  }
  void load_state(const StateSource& get) override {
    momentum_.load(get);
    feedback_.load(get);
  }

 private:
  QuantizeFormat format_;
  bool stochastic_;
  CodecSettings settings_;
  int rank_;
  BucketParts parts_;
  GradientMomentum momentum_;
  ErrorFeedback feedback_;
  GatherWire wire_;
  Alarm alarm_;
  const PackKernels& kernels_;
};

}  // namespace

std::unique_ptr<Codec> make_block_quantizer(const BlockQuantizerOptions& options, const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) {
  return std::make_unique<BlockQuantizer>(options, layout, settings, allocator);
}

}  // namespace panther::comm
