// Two bytes per element on the wire: bf16, summed in f32 with one rounding by the collective. Every rank's gradient is rounded
// once before and the sum once after, so the relative error of an element is at most 2^-8 (sum_w |g_w| + |sum_w g_w|).
// Gradients that have two bytes already travel as they are.
#include "comm/exchange/codec.h"

namespace panther {
namespace {

class Half final : public comm::Codec {
 public:
  Half(const TensorView& bucket, Allocator& allocator)
      : bucket_(bucket),
        memory_(allocator, size_of(bucket.dtype) == 2 ? 0 : static_cast<std::size_t>(bucket.numel()) * 2, bucket.device, {}),
        wire_(size_of(bucket.dtype) == 2 ? bucket : TensorView(memory_.data(), DType::bf16, {bucket.numel()}, bucket.device)) {}

  std::vector<comm::Stage> plan(std::int64_t) const override {
    return {{comm::Stage::Kind::all_reduce, wire_.dtype, bucket_.numel(), comm::ReduceOp::sum}};
  }
  TensorView encode(std::size_t, const comm::CodecCall& call) override {
    if (wire_.data != bucket_.data) call.kernels.cast(bucket_, wire_, call.stream);
    return wire_;
  }
  void decode(std::size_t, const TensorView& wire, const comm::CodecCall& call) override {
    if (wire.data != bucket_.data) call.kernels.cast(wire, bucket_, call.stream);
  }
  bool linear() const override { return true; }
  bool keeps_bytes() const override { return true; }  // bf16 has eight significant bits
  bool stateless() const override { return true; }

 private:
  TensorView bucket_;
  Workspace memory_;
  TensorView wire_;
};

}  // namespace

void register_half(comm::CodecRegistry& registry);
void register_half(comm::CodecRegistry& registry) {
  registry.add("half", {[](const comm::CodecLayout& layout, const comm::CodecSettings&, Allocator& allocator) -> std::unique_ptr<comm::Codec> {
    return std::make_unique<Half>(layout.bucket, allocator);
  }});
}

}  // namespace panther
