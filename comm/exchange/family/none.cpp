// The gradient as it was computed: the wire is the bucket itself.
#include "comm/exchange/codec.h"

namespace panther {
namespace {

class None final : public comm::Codec {
 public:
  std::vector<comm::Stage> plan(const TensorView& bucket) const override {
    return {{comm::Stage::Kind::all_reduce, bucket.dtype, bucket.numel(), comm::ReduceOp::sum}};
  }
  TensorView encode(std::size_t, const TensorView& bucket, const KernelSet&, Stream) override { return bucket; }
  void decode(std::size_t, const TensorView&, const TensorView&, const KernelSet&, Stream) override {}
  bool linear() const override { return true; }
  bool keeps_bytes() const override { return true; }
};

}  // namespace

void register_none(comm::CodecRegistry& registry);
void register_none(comm::CodecRegistry& registry) {
  registry.add("none", {[](const TensorView&, Allocator&) -> std::unique_ptr<comm::Codec> { return std::make_unique<None>(); }});
}

}  // namespace panther
