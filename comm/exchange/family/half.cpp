// Two bytes per element on the wire: bf16, summed in f32 with one rounding by the collective. Every rank's gradient is rounded
// once before and the sum once after, so the relative error of an element is at most 2^-8 (sum_w |g_w| + |sum_w g_w|).
// Gradients that have two bytes already travel as they are.
#include "comm/exchange/codec.h"

namespace panther {
namespace {

class Half final : public comm::Codec {
 public:
  Half(const comm::CodecLayout& layout, Allocator& allocator)
      : layout_(layout),
        bucket_(layout.bucket),
        memory_(allocator, size_of(bucket_.dtype) == 2 ? 0 : static_cast<std::size_t>(bucket_.numel()) * 2, bucket_.device, {}),
        wire_(size_of(bucket_.dtype) == 2 ? bucket_ : TensorView(memory_.data(), DType::bf16, {bucket_.numel()}, bucket_.device)) {}

  std::vector<comm::Stage> plan(std::int64_t) const override {
    if (layout_.scattered) return {{comm::Stage::Kind::reduce_scatter, wire_.dtype, bucket_.numel() / layout_.ranks, comm::ReduceOp::sum}};
    return {{comm::Stage::Kind::all_reduce, wire_.dtype, bucket_.numel(), comm::ReduceOp::sum}};
  }
  TensorView encode(std::size_t, const comm::CodecCall& call) override {
    if (wire_.data != bucket_.data) call.kernels.cast(bucket_, wire_, call.stream);
    return wire_;
  }
  void decode(std::size_t, const TensorView& wire, const comm::CodecCall& call) override {
    if (layout_.scattered) return call.kernels.cast(wire, bucket_.slice(layout_.rank * wire.numel(), wire.numel()), call.stream);
    if (wire.data != bucket_.data) call.kernels.cast(wire, bucket_, call.stream);
  }
  bool linear() const override { return true; }
  bool keeps_bytes() const override { return !layout_.scattered; }  // bf16 has eight significant bits
  bool stateless() const override { return true; }

 private:
  comm::CodecLayout layout_;
  TensorView bucket_;
  Workspace memory_;
  TensorView wire_;
};

}  // namespace

void register_half(comm::CodecRegistry& registry);
void register_half(comm::CodecRegistry& registry) {
  registry.add("half", {[](const comm::CodecLayout& layout, const comm::CodecSettings&, Allocator& allocator) -> std::unique_ptr<comm::Codec> {
    return std::make_unique<Half>(layout, allocator);
  }});
}

}  // namespace panther
