// The gradient as it was computed: the wire is the bucket itself.
#include "comm/exchange/codec.h"

namespace panther {
namespace {

class None final : public comm::Codec {
 public:
  explicit None(const TensorView& bucket) : bucket_(bucket) {}

  std::vector<comm::Stage> plan(std::int64_t) const override {
    return {{comm::Stage::Kind::all_reduce, bucket_.dtype, bucket_.numel(), comm::ReduceOp::sum}};
  }
  TensorView encode(std::size_t, const comm::CodecCall&) override { return bucket_; }
  void decode(std::size_t, const TensorView&, const comm::CodecCall&) override {}
  bool linear() const override { return true; }
  bool keeps_bytes() const override { return true; }
  bool stateless() const override { return true; }

 private:
  TensorView bucket_;
};

}  // namespace

void register_none(comm::CodecRegistry& registry);
void register_none(comm::CodecRegistry& registry) {
  registry.add("none", {[](const comm::CodecLayout& layout, const comm::CodecSettings&, Allocator&) -> std::unique_ptr<comm::Codec> {
    return std::make_unique<None>(layout.bucket);
  }});
}

}  // namespace panther
