// Two bytes per element on the wire: bf16, summed in f32 with one rounding by the collective. Every rank's gradient is rounded
// once before and the sum once after, so the relative error of an element is at most 2^-8 (sum_w |g_w| + |sum_w g_w|).
// Gradients that have two bytes already travel as they are.
#include "comm/exchange/codec.h"

namespace panther {
namespace {

class Half final : public comm::Codec {
 public:
  Half(const TensorView& bucket, Allocator& allocator)
      : memory_(allocator, size_of(bucket.dtype) == 2 ? 0 : static_cast<std::size_t>(bucket.numel()) * 2, bucket.device, {}) {}

  std::vector<comm::Stage> plan(const TensorView& bucket) const override {
    return {{comm::Stage::Kind::all_reduce, wire_of(bucket).dtype, bucket.numel(), comm::ReduceOp::sum}};
  }
  TensorView encode(std::size_t, const TensorView& bucket, const KernelSet& kernels, Stream stream) override {
    const TensorView wire = wire_of(bucket);
    if (wire.data != bucket.data) kernels.cast(bucket, wire, stream);
    return wire;
  }
  void decode(std::size_t, const TensorView& wire, const TensorView& bucket, const KernelSet& kernels, Stream stream) override {
    if (wire.data != bucket.data) kernels.cast(wire, bucket, stream);
  }
  bool linear() const override { return true; }
  bool keeps_bytes() const override { return true; }  // bf16 has eight significant bits

 private:
  TensorView wire_of(const TensorView& bucket) const {
    if (size_of(bucket.dtype) == 2) return bucket;
    return TensorView(memory_.data(), DType::bf16, {bucket.numel()}, bucket.device);
  }

  Workspace memory_;
};

}  // namespace

void register_half(comm::CodecRegistry& registry);
void register_half(comm::CodecRegistry& registry) {
  registry.add("half", {[](const TensorView& bucket, Allocator& allocator) -> std::unique_ptr<comm::Codec> {
    return std::make_unique<Half>(bucket, allocator);
  }});
}

}  // namespace panther
