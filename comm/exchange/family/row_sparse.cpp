// Exact, for gradients whose rows are mostly zero (embeddings): every rank gathers the others' bitmaps of rows that are not all zero
// bits, and the union's rows alone are all_reduced. No state, no error: the sum is that of `none` in f32.
//
// Costs rows / 8 bytes to every other rank and an all_reduce of |union| columns floats, never more than the dense matrix: when every
// row is touched, the bitmap is what was wasted. Vectors, small matrices and the control word ride behind the rows.

#include "comm/exchange/bucket_parts.h"
#include "kernels/pack/pack_kernels.h"

namespace panther {
namespace {

using comm::CompressedPart;
using comm::Stage;

std::int64_t bitmap_bytes(const CompressedPart& part) { return (part.member.rows + 7) / 8; }

class RowSparse final : public comm::Codec {
 public:
  RowSparse(const comm::CodecLayout& layout, const comm::CodecSettings& settings, Allocator& allocator)
      : ranks_(layout.ranks), parts_("row_sparse", layout, settings, allocator), sizes_(measure(parts_)),
        bitmap_(allocator, static_cast<std::size_t>(sizes_.bitmap), layout.bucket.device, {}),
        memory_(allocator, static_cast<std::size_t>(sizes_.rows + parts_.exact_numel()) * sizeof(float), layout.bucket.device, {}),
        union_(parts_.compressed().size()), kernels_(pack_kernels(layout.bucket.device.kind)) {}

  std::vector<Stage> plan(std::int64_t) const override {
    const Stage rows{Stage::Kind::all_reduce, DType::f32, sizes_.rows + parts_.exact_numel(), comm::ReduceOp::sum};
    if (parts_.compressed().empty()) return {rows};
    return {{Stage::Kind::all_gather, DType::u8, sizes_.bitmap, comm::ReduceOp::sum}, rows};
  }

  TensorView encode(std::size_t index, const comm::CodecCall& call) override {
    if (index == 0 && !parts_.compressed().empty()) return encode_bitmap(call);
    float* at = static_cast<float*>(memory_.data());
    for (std::size_t i = 0; i < union_.size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      kernels_.gather_rows(part.values.as<float>(), part.member.columns, union_[i], at);
      at += static_cast<std::int64_t>(union_[i].size()) * part.member.columns;
    }
    const TensorView exact(at, DType::f32, {parts_.exact_numel()});
    parts_.pack_exact(exact, call);
    return TensorView(memory_.data(), DType::f32, {at - static_cast<float*>(memory_.data()) + parts_.exact_numel()});
  }

  void decode(std::size_t index, const TensorView& wire, const comm::CodecCall& call) override {
    if (index == 0 && !parts_.compressed().empty()) return unite(wire);
    const auto* at = wire.as<float>();
    for (std::size_t i = 0; i < union_.size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      kernels_.scatter_rows(at, part.member.columns, union_[i], part.values.as<float>());  // other rows are zero on every rank
      at += static_cast<std::int64_t>(union_[i].size()) * part.member.columns;
    }
    parts_.store(call);
    parts_.unpack_exact(wire.slice(at - wire.as<float>(), parts_.exact_numel()), call);
  }

  bool linear() const override { return true; }
  bool keeps_bytes() const override { return true; }
  bool stateless() const override { return true; }

 private:
  struct Sizes {
    std::int64_t bitmap = 0;
    std::int64_t rows = 0;
  };
  static Sizes measure(const comm::BucketParts& parts) {
    Sizes sizes;
    for (const CompressedPart& part : parts.compressed()) {
      sizes.bitmap += bitmap_bytes(part);
      sizes.rows += part.member.numel;
    }
    return sizes;
  }

  TensorView encode_bitmap(const comm::CodecCall& call) {
    parts_.load(call);
    auto* at = static_cast<std::uint8_t*>(bitmap_.data());
    for (const CompressedPart& part : parts_.compressed()) {
      kernels_.touched_rows(part.values.as<float>(), part.member.rows, part.member.columns, at);
      at += bitmap_bytes(part);
    }
    return TensorView(bitmap_.data(), DType::u8, {sizes_.bitmap});
  }

  void unite(const TensorView& wire) {
    const auto* at = wire.as<std::uint8_t>();
    for (std::size_t i = 0; i < union_.size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      union_[i].clear();
      for (std::int64_t row = 0; row < part.member.rows; ++row) {
        unsigned bits = 0;
        for (std::int64_t rank = 0; rank < ranks_; ++rank) bits |= at[rank * sizes_.bitmap + row / 8];
        if ((bits >> (row % 8) & 1u) != 0) union_[i].push_back(row);
      }
      at += bitmap_bytes(part);
    }
  }

  int ranks_;
  comm::BucketParts parts_;
  Sizes sizes_;
  Workspace bitmap_;
  Workspace memory_;
  std::vector<std::vector<std::int64_t>> union_;  // rows touched by some rank, by part
  const PackKernels& kernels_;
};

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const comm::CodecSettings& settings, Allocator& allocator) {
  return std::make_unique<RowSparse>(layout, settings, allocator);
}

}  // namespace

void register_row_sparse(comm::CodecRegistry& registry);
void register_row_sparse(comm::CodecRegistry& registry) { registry.add("row_sparse", {make}); }

}  // namespace panther
