// The gradient as it was computed: the wire is the bucket itself.
#include "comm/exchange/codec.h"

namespace panther {
namespace {

class None final : public comm::Codec {
 public:
  explicit None(const comm::CodecLayout& layout) : layout_(layout) {}

  std::vector<comm::Stage> plan(std::int64_t) const override {
    const std::int64_t numel = layout_.bucket.numel();
    if (layout_.scattered) return {{comm::Stage::Kind::reduce_scatter, layout_.bucket.dtype, numel / layout_.ranks, comm::ReduceOp::sum}};
    return {{comm::Stage::Kind::all_reduce, layout_.bucket.dtype, numel, comm::ReduceOp::sum}};
  }
  TensorView encode(std::size_t, const comm::CodecCall&) override { return layout_.bucket; }
  void decode(std::size_t, const TensorView& wire, const comm::CodecCall& call) override {
    if (layout_.scattered) call.kernels.cast(wire, layout_.bucket.slice(layout_.rank * wire.numel(), wire.numel()), call.stream);
  }
  bool linear() const override { return true; }
  bool keeps_bytes() const override { return !layout_.scattered; }
  bool stateless() const override { return true; }

 private:
  comm::CodecLayout layout_;
};

}  // namespace

void register_none(comm::CodecRegistry& registry);
void register_none(comm::CodecRegistry& registry) {
  registry.add("none", {[](const comm::CodecLayout& layout, const comm::CodecSettings&, Allocator&) -> std::unique_ptr<comm::Codec> {
    return std::make_unique<None>(layout);
  }});
}

}  // namespace panther
