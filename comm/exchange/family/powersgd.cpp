// Low-rank gradients: M_w = G_w + e_w of every matrix (rows x columns) is sent as two thin factors of rank r.
//
// Two-sided (Vogels, Karimireddy, Jaggi 2019, arXiv 1905.13727, algorithms 1 and 2), one step of subspace iteration from the last
// step's Q:   P = orth(sum_w M_w Q)   Q' = sum_w M_w^T P   decoded = P Q'^T   e_w = M_w - P Q'^T / p
// Two all_reduces of r rows and r columns per matrix; the second depends on the first.
//
// Alternating (ACP-SGD, Zhang et al., ICDCS 2023; the reference PowerSGD of today), one factor per step in turn:
//   even steps   P_w = M_w Q     decoded = (sum_w P_w) Q^T     e_w = M_w - P_w Q^T       with Q = orth(last sum of Q_w)
//   odd steps    Q_w = M_w^T P   decoded = P (sum_w Q_w)^T     e_w = M_w - P Q_w^T       with P = orth(last sum of P_w)
// One all_reduce and half the bytes; the error is that of the rank's own projection, and a learning rate near the two-sided form's
// limit can diverge.
//
// Both: ||M - decoded||^2 <= (1 - delta) ||M||^2 with delta at least r / min(rows, columns) for a random subspace and far better once warm;
// exact when rank(sum M_w) <= r and the subspace has met it. The start is warm always: a fixed or re-drawn Q diverges or lags. All matrices
// of a bucket share the messages; vectors, small matrices and the control word ride as f32 behind the first. Matrices with
// 2 r (rows + columns) >= rows columns are sent exactly. Everything that replicas must agree on is computed from reduced bits without
// fused multiply-adds.
#include <algorithm>

#include "comm/exchange/alarm.h"
#include "comm/exchange/error_feedback.h"
#include "comm/exchange/low_rank_factors.h"
#include "core/error.h"
#include "kernels/philox.h"

namespace panther {
namespace {

using comm::CodecCall;
using comm::CodecMember;
using comm::CodecSettings;
using comm::CompressedPart;
using comm::FactorSide;
using comm::LowRankFactors;
using comm::Stage;

bool pays(const CodecMember& member, const CodecSettings& settings) {
  return settings.rank * (member.rows + member.columns) * 2 < member.numel;
}

double contraction_of(const comm::BucketParts& parts, const CodecSettings& settings) {
  std::int64_t smaller = settings.rank;
  for (const CompressedPart& part : parts.compressed()) smaller = std::max(smaller, std::min(part.member.rows, part.member.columns));
  return static_cast<double>(settings.rank) / static_cast<double>(smaller);
}

/// What both forms share: parts, residuals, the wire of one factor with exact elements behind it.
class LowRank : public comm::Codec {
 public:
  LowRank(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator)
      : ranks_(layout.ranks), rank_(settings.rank), parts_(layout, settings, allocator, pays),
        feedback_(parts_, settings, contraction_of(parts_, settings), allocator), rows_(parts_, FactorSide::rows, settings, allocator),
        columns_(parts_, FactorSide::columns, settings, allocator), kernels_(pack_kernels(layout.bucket.device.kind)), alarm_(allocator, parts_.device()),
        spectra_(allocator, settings.error_feedback ? 2 * parts_.compressed().size() : 0, parts_.device()) {}

  bool linear() const override { return true; }
  bool keeps_bytes() const override { return true; }
  bool finite() const override { return alarm_.quiet(); }
  comm::CodecHealth health() const override {
    comm::CodecHealth health = feedback_.health();
    if (spectra_.published()) health.effective_rank = effective_rank();
    return health;
  }

 protected:
  /// Where the guard looks: the other side of the product being orthonormal, the singular values are those of these factors F, for which
  /// sum s^2 = tr(F^T F) and sum s^4 = ||F^T F||^2.
  void note_rank(const LowRankFactors& factors, const TensorView& wire, const CodecCall& call) {
    if (!feedback_.guards(call)) return;
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      kernels_.spectrum(wire.as<float>() + factors.offset(i), factors.length(parts_.compressed()[i]), rank_, spectra_.at(2 * i), call.stream);
    }
    spectra_.publish(call);
  }
  double effective_rank() const {
    double energy = 0, weighted = 0;
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const double squares = spectra_.seen(2 * i), fourths = spectra_.seen(2 * i + 1);
      if (fourths > 0) weighted += squares * squares * squares / fourths;
      energy += squares;
    }
    return energy > 0 ? weighted / energy : -1;
  }
  static Stage sum_of(std::int64_t count) { return {Stage::Kind::all_reduce, DType::f32, count, comm::ReduceOp::sum}; }
  TensorView wire_view(const Workspace& memory, std::int64_t count) const { return TensorView(memory.data(), DType::f32, {count}, parts_.device()); }
  /// M of a part: the sum with the residual, or the gradient itself.
  const float* matrix(const CompressedPart& part) const { return feedback_.enabled() ? feedback_.next(part) : part.values.as<float>(); }

  /// out = M factor, M being made on the way.
  void project(std::size_t index, float* out, Stream stream) const {
    const CompressedPart& part = parts_.compressed()[index];
    kernels_.project({.gradient = part.values.as<float>(), .residual = feedback_.residual(part), .sum = feedback_.next(part), .rows = part.member.rows,
                      .columns = part.member.columns, .rank = rank_, .factor_RN = columns_.current(index), .projected_RM = out}, stream);
  }
  /// destination = P Q^T and M -= share P Q^T, either where not null.
  void multiply(const CompressedPart& part, const float* p, const float* q, float* destination, float share, float* next, Stream stream) const {
    kernels_.low_rank_update(p, q, part.member.rows, part.member.columns, rank_, destination, share, next, stream);
  }
  /// Everything after `count` elements of the wire is exact.
  void pack_exact(const TensorView& wire, std::int64_t count, const CodecCall& call) const {
    parts_.pack_exact(wire.slice(count, parts_.exact_numel()), call);
  }
  void unpack_exact(const TensorView& wire, std::int64_t count, const CodecCall& call) const {
    parts_.unpack_exact(wire.slice(count, parts_.exact_numel()), call);
  }

  int ranks_;
  std::int64_t rank_;
  comm::BucketParts parts_;
  comm::ErrorFeedback feedback_;
  LowRankFactors rows_;     // P
  LowRankFactors columns_;  // Q
  const PackKernels& kernels_;
  comm::Alarm alarm_;
  comm::ReportedValues spectra_;  // by part: sums of squares and of fourth powers of singular values
};

class TwoSided final : public LowRank {
 public:
  TwoSided(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator)
      : LowRank(layout, settings, allocator), first_(allocator, bytes(rows_.numel() + parts_.exact_numel()), parts_.device(), {}),
        second_(allocator, bytes(columns_.numel()), parts_.device(), {}),
        scratch_(allocator, static_cast<std::size_t>(rank_ * rank_ + 1) * sizeof(double), parts_.device(), {}) {}

  std::vector<Stage> plan(std::int64_t) const override {
    std::vector<Stage> stages{sum_of(rows_.numel() + parts_.exact_numel())};
    if (!parts_.compressed().empty()) stages.push_back(sum_of(columns_.numel()));
    return stages;
  }

  TensorView encode(std::size_t index, const CodecCall& call) override {
    if (index == 1) return encode_columns(call.stream);
    parts_.load(call);
    feedback_.before(call);
    const TensorView wire = wire_view(first_, rows_.numel() + parts_.exact_numel());
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) project(i, wire.as<float>() + rows_.offset(i), call.stream);
    pack_exact(wire, rows_.numel(), call);
    return wire;
  }

  void decode(std::size_t index, const TensorView& wire, const CodecCall& call) override {
    if (index == 1) return reconstruct(wire, call);
    alarm_.reset(call);
    alarm_.watch(wire, call);
    unpack_exact(wire, rows_.numel(), call);
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      kernels_.orthonormalize({.factor_RM = wire.as<float>() + rows_.offset(i), .rows = parts_.compressed()[i].member.rows, .rank = rank_,
                               .scratch_RR = static_cast<double*>(scratch_.data())}, call.stream);
    }
  }

  void commit() override {
    feedback_.commit();
    columns_.commit();
  }
  void rollback() override { columns_.rollback(); }
  void save_state(const comm::StateSink& put) const override {
    feedback_.save(put);
    columns_.save(put);
  }
  void load_state(const comm::StateSource& get) override {
    feedback_.load(get);
    columns_.load(get);
  }
  std::uint64_t shared_digest() const override { return columns_.digest(); }

 private:
  static std::size_t bytes(std::int64_t count) { return static_cast<std::size_t>(count) * sizeof(float); }
  const float* left(std::size_t part) const { return static_cast<const float*>(first_.data()) + rows_.offset(part); }

  TensorView encode_columns(Stream stream) {
    const TensorView wire = wire_view(second_, columns_.numel());
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      kernels_.project_transposed(matrix(part), part.member.rows, part.member.columns, rank_, left(i), wire.as<float>() + columns_.offset(i), stream);
    }
    return wire;
  }

  void reconstruct(const TensorView& wire, const CodecCall& call) {
    alarm_.watch(wire, call);
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      multiply(part, left(i), wire.as<float>() + columns_.offset(i), part.values.as<float>(), 1.0f / static_cast<float>(ranks_), feedback_.next(part), call.stream);
    }
    alarm_.spoil(parts_, call);
    parts_.store(call);
    feedback_.after(call);
    note_rank(columns_, wire, call);
    columns_.propose(wire.as<float>(), call);
  }

  Workspace first_;
  Workspace second_;
  Workspace scratch_;
};

class Alternating final : public LowRank {
 public:
  Alternating(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator)
      : LowRank(layout, settings, allocator),
        memory_(allocator, static_cast<std::size_t>(std::max(rows_.numel(), columns_.numel()) + parts_.exact_numel()) * sizeof(float), parts_.device(), {}) {}

  std::vector<Stage> plan(std::int64_t step) const override { return {sum_of(sent(step).numel() + parts_.exact_numel())}; }

  TensorView encode(std::size_t, const CodecCall& call) override {
    parts_.load(call);
    feedback_.before(call);
    const std::int64_t count = sent(call.step).numel();
    const TensorView wire = wire_view(memory_, count + parts_.exact_numel());
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      const CompressedPart& part = parts_.compressed()[i];
      float* factor = wire.as<float>() + sent(call.step).offset(i);
      if (sends_rows(call.step)) {
        project(i, factor, call.stream);
      } else {
        add_residual(part, call.stream);
        kernels_.project_transposed(matrix(part), part.member.rows, part.member.columns, rank_, rows_.current(i), factor, call.stream);
      }
      if (feedback_.enabled()) multiply_by(i, factor, call, nullptr, feedback_.next(part));
    }
    pack_exact(wire, count, call);
    feedback_.after(call);
    return wire;
  }

  void decode(std::size_t, const TensorView& wire, const CodecCall& call) override {
    LowRankFactors& factors = sends_rows(call.step) ? rows_ : columns_;
    alarm_.reset(call);
    alarm_.watch(wire, call);
    unpack_exact(wire, factors.numel(), call);
    for (std::size_t i = 0; i < parts_.compressed().size(); ++i) {
      multiply_by(i, wire.as<float>() + factors.offset(i), call, parts_.compressed()[i].values.as<float>(), nullptr);
    }
    alarm_.spoil(parts_, call);
    parts_.store(call);
    note_rank(factors, wire, call);
    factors.propose(wire.as<float>(), call);
  }

  void commit() override {
    feedback_.commit();
    rows_.commit();
    columns_.commit();
  }
  void rollback() override {
    rows_.rollback();
    columns_.rollback();
  }
  void save_state(const comm::StateSink& put) const override {
    feedback_.save(put);
    rows_.save(put);
    columns_.save(put);
  }
  void load_state(const comm::StateSource& get) override {
    feedback_.load(get);
    rows_.load(get);
    columns_.load(get);
  }
  std::uint64_t shared_digest() const override { return mix64(rows_.digest(), columns_.digest()); }

 private:
  static bool sends_rows(std::int64_t step) { return step % 2 == 0; }
  const LowRankFactors& sent(std::int64_t step) const { return sends_rows(step) ? rows_ : columns_; }

  void add_residual(const CompressedPart& part, Stream stream) const {
    if (!feedback_.enabled()) return;
    kernels_.project({.gradient = part.values.as<float>(), .residual = feedback_.residual(part), .sum = feedback_.next(part), .rows = part.member.rows,
                      .columns = part.member.columns, .rank = 0, .factor_RN = nullptr, .projected_RM = nullptr}, stream);
  }
  void multiply_by(std::size_t index, const float* factor, const CodecCall& call, float* destination, float* next) const {
    const bool by_rows = sends_rows(call.step);
    multiply(parts_.compressed()[index], by_rows ? factor : rows_.current(index), by_rows ? columns_.current(index) : factor, destination, 1.0f, next, call.stream);
  }

  Workspace memory_;
};

std::unique_ptr<comm::Codec> make(const comm::CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) {
  if (settings.alternating) return std::make_unique<Alternating>(layout, settings, allocator);
  return std::make_unique<TwoSided>(layout, settings, allocator);
}

/// One matrix that takes the rank is enough: the others travel exactly.
void check(std::span<const CodecMember> members, const CodecSettings& settings) {
  std::int64_t largest = 0;
  const CodecMember* widest = nullptr;
  for (const CodecMember& member : members) {
    if (!comm::is_large_matrix(member, settings) || std::min(member.rows, member.columns) <= largest) continue;
    largest = std::min(member.rows, member.columns);
    widest = &member;
  }
  PANTHER_REQUIRE(widest == nullptr || settings.rank <= largest, "comm.codec.rank = ", settings.rank, " is larger than every gradient matrix; the widest, '",
                  widest->name, "', is ", widest->rows, " x ", widest->columns, ", so ranks up to ", largest,
                  " exist, and ranks below rows * columns / (2 (rows + columns)) = ", widest->numel / (2 * (widest->rows + widest->columns)),
                  " compress it. Typical ranks are 1 to 32");
}

}  // namespace

void register_powersgd(comm::CodecRegistry& registry);
void register_powersgd(comm::CodecRegistry& registry) { registry.add("powersgd", {make, check}); }

}  // namespace panther
