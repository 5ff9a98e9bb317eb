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
      : ranks_(layout.ranks), parts_(layout, settings, allocator), sizes_(measure(parts_)),
        bitmap_(allocator, static_cast<std::size_t>(sizes_.bitmap), layout.bucket.device, {}),
        memory_(allocator, static_cast<std::size_t>(sizes_.elements + parts_.exact_numel()) * sizeof(float), layout.bucket.device, {}),
        rows_(allocator, static_cast<std::size_t>(sizes_.rows) * sizeof(std::int64_t), layout.bucket.device, {}), counts_(parts_.compressed().size(), 0),
        kernels_(pack_kernels(layout.bucket.device.kind)) {}

  std::vector<Stage> plan(std::int64_t) const override {
    const Stage rows{Stage::Kind::all_reduce, DType::f32, sizes_.elements + parts_.exact_numel(), comm::ReduceOp::sum};
    if (parts_.compressed().empty()) return {rows};
    return {{Stage::Kind::all_gather, DType::u8, sizes_.bitmap, comm::ReduceOp::sum}, rows};
  }

  TensorView encode(std::size_t index, const comm::CodecCall& call) override {
    if (index == 0 && !parts_.compressed().empty()) return encode_bitmap(call);
    float* at = static_cast<float*>(memory_.data());
    const auto* rows = static_cast<const std::int64_t*>(rows_.data());
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      kernels_.gather_rows(part.values.as<float>(), part.member.columns, rows, counts_[i], at, call.stream);
      at += counts_[i] * part.member.columns;
      rows += counts_[i];
    }
    const std::int64_t sent = at - static_cast<float*>(memory_.data());
    const TensorView wire(memory_.data(), DType::f32, {sent + parts_.exact_numel()}, parts_.device());
    parts_.pack_exact(wire.slice(sent, parts_.exact_numel()), call);
    return wire;
  }

  void decode(std::size_t index, const TensorView& wire, const comm::CodecCall& call) override {
    if (index == 0 && !parts_.compressed().empty()) return unite(wire, call);
    const auto* at = wire.as<float>();
    const auto* rows = static_cast<const std::int64_t*>(rows_.data());
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      kernels_.scatter_rows(at, part.member.columns, rows, counts_[i], part.values.as<float>(), call.stream);  // other rows are zero on every rank
      at += counts_[i] * part.member.columns;
      rows += counts_[i];
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
    std::int64_t elements = 0;
  };
  static Sizes measure(const comm::BucketParts& parts) {
    Sizes sizes;
    for (const CompressedPart& part : parts.compressed()) {
      sizes.bitmap += bitmap_bytes(part);
      sizes.rows += part.member.rows;
      sizes.elements += part.member.numel;
    }
    return sizes;
  }

  TensorView encode_bitmap(const comm::CodecCall& call) {
    parts_.load(call);
    auto* at = static_cast<std::uint8_t*>(bitmap_.data());
    for (const CompressedPart& part : parts_.compressed()) {
      kernels_.touched_rows(part.values.as<float>(), part.member.rows, part.member.columns, at, call.stream);
      at += bitmap_bytes(part);
    }
    return TensorView(bitmap_.data(), DType::u8, {sizes_.bitmap}, parts_.device());
  }

  /// The host must know how many rows travel: a device is waited for.
  void unite(const TensorView& wire, const comm::CodecCall& call) {
    const auto* at = static_cast<const std::uint8_t*>(call.read_on_host(wire));
    united_.clear();
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      const std::size_t before = united_.size();
      const CompressedPart& part = parts_.compressed()[i];
      for (std::int64_t row = 0; row < part.member.rows; ++row) {
        unsigned bits = 0;
        for (std::int64_t rank = 0; rank < ranks_; ++rank) bits |= at[rank * sizes_.bitmap + row / 8];
        if ((bits >> (row % 8) & 1u) != 0) united_.push_back(row);
      }
      counts_[i] = static_cast<std::int64_t>(united_.size() - before);
      at += bitmap_bytes(part);
    }
    call.write_from_host(united_.data(), TensorView(rows_.data(), DType::i64, {static_cast<std::int64_t>(united_.size())}, parts_.device()));
  }

  int ranks_;
  comm::BucketParts parts_;
  Sizes sizes_;
  Workspace bitmap_;
  Workspace memory_;
  Workspace rows_;                     // touched by some rank, part after part
  std::vector<std::int64_t> united_;   // the same on the host
  std::vector<std::int64_t> counts_;   // of rows, by part
  const PackKernels& kernels_;
};

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const comm::CodecSettings& settings, Allocator& allocator) {
  return std::make_unique<RowSparse>(layout, settings, allocator);
}

}  // namespace

void register_row_sparse(comm::CodecRegistry& registry);
void register_row_sparse(comm::CodecRegistry& registry) { registry.add("row_sparse", {make}); }

}  // namespace panther
