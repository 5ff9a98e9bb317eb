#pragma once
// How a bucket travels: `plan` says which collectives of which sizes, `encode` fills what is sent, `decode` reads what came.
//
// A step, on the one communication thread:
//
//   for each bucket, in plan order:  for each stage s of plan(step):  encode(s) -> collective -> decode(s)
//   when all buckets are through:    commit() on every codec if the step was finite on every rank, else rollback() on every codec
//
// The order and the number of stages depend on nothing but the plan, so every rank issues the same collectives whatever became ready
// first. What is decoded is the *sum* over ranks, the same bits on every rank. A nan or inf in a gradient of any rank makes what is
// decoded non-finite on every rank: nobody applies such a step.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/exchange/bucket_plan.h"
#include "comm/exchange/codec_settings.h"
#include "comm/export.h"
#include "core/registry.h"
#include "kernels/allocator.h"
#include "kernels/kernel_set.h"

namespace panther::comm {

/// One collective of a codec. all_reduce: every rank contributes the same number of elements of `dtype`, at most `count`; encode() may
/// return fewer where all ranks know it (the union of touched rows). all_gather: exactly `count` each; the wire that `decode` sees then
/// holds every rank's `count` elements in rank order, in memory of the exchange. reduce_scatter: `count` elements for each rank in rank order go out, and the
/// sums of this rank's `count` come in, in memory of the exchange.
struct Stage {
  enum class Kind { all_reduce, all_gather, reduce_scatter } kind = Kind::all_reduce;
  DType dtype = DType::f32;
  std::int64_t count = 0;
  ReduceOp op = ReduceOp::sum;
};

/// One gradient of a bucket: a row-major matrix rows x columns, or a vector (rows = 0).
struct CodecMember {
  std::string name = {};
  std::int64_t offset = 0;       ///< elements from the start of the bucket
  std::int64_t numel = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  int tag = 0;
  GradientKind kind = GradientKind::dense;
};

/// What a codec is made for.
struct CodecLayout {
  TensorView bucket;             ///< contiguous, one dimension, any floating dtype; outlives the codec
  std::vector<CodecMember> members;
  std::int64_t tail = 0;         ///< last elements of the bucket: the exchange's, which keeps_bytes() is about
  int rank = 0;
  int ranks = 1;
  bool scattered = false;        ///< Bucket::scattered: codecs then plan a reduce_scatter, or the exchange refuses them
};

class Lane;

/// Facts of one call.
struct CodecCall {
  const KernelSet& kernels;
  Stream stream;
  std::int64_t step = 0;         ///< committed steps before this one: the same on all ranks, kept by checkpoints
  Lane* lane = nullptr;          ///< for codecs that must see device memory (read_on_host); null on the CPU

  /// The view's data for the host, after all work queued so far; on a device it blocks the host. Valid until the next call.
  const void* read_on_host(const TensorView& view) const;
  /// Later work of the stream finds the view filled. `from` must live until the next step.
  void write_from_host(void* from, const TensorView& view) const;
};

/// Named state. `put` is called with host memory valid for the call.
using StateSink = std::function<void(const std::string& name, const TensorView& value)>;
/// Fills `value`, host memory, and returns true, or returns false when there is nothing of that name. Throws InvalidArgument for another size.
using StateSource = std::function<bool(const std::string& name, const TensorView& value)>;

/// What a codec saw of this rank's gradients when it looked last (comm/exchange/error_feedback.h); negative: nothing, or nobody looked.
struct CodecHealth {
  double residual_ratio = -1;    ///< |residual| / |gradient|: what waits
  double relative_error = -1;    ///< |v - C(v)| / |v|, v = gradient + residual: what one step loses
  double effective_rank = -1;    ///< (sum s^2)^2 / sum s^4 of the singular values of what was decoded; mean over matrices, by energy
};

/// Encodes one bucket. One thread.
///
/// State (error feedback, warm starts) belongs to parameter names: another bucketing of the same parameters goes on with it. It has two
/// phases: what a step computed becomes the state by commit() alone.
class PANTHER_COMM_API Codec {
 public:
  virtual ~Codec();
  /// The collectives of a step; the same number at every step. Pure.
  virtual std::vector<Stage> plan(std::int64_t step) const = 0;
  /// The wire buffer of stage `index`; may alias the bucket (then nothing is copied).
  virtual TensorView encode(std::size_t index, const CodecCall& call) = 0;
  /// Called after the stage's collective finished; the last stage leaves the reduced gradient in the bucket.
  virtual void decode(std::size_t index, const TensorView& wire, const CodecCall& call) = 0;
  /// True when all_reduce may sum encoded values: encode is a linear map that is the same on every rank (error feedback aside).
  virtual bool linear() const = 0;
  /// True when an element of the tail that is an integer of 0 to 255 on one rank and zero on the others comes back exactly: then the
  /// control word rides in the bucket, else it is a message of its own.
  virtual bool keeps_bytes() const = 0;

  /// True when a step's bytes depend on nothing but its gradients: no residual, no warm start, no random choice by step. A run then
  /// resumes bit for bit without saved state.
  virtual bool stateless() const { return false; }
  /// 64 bits of the state that must be the same on all ranks (factors that all start from); 0 where there is none.
  virtual std::uint64_t shared_digest() const { return 0; }

  /// After the last decode: false when the codec saw that a rank's gradient held nan or inf. The same on all ranks. Codecs without
  /// state do not look, and on a device none does: the verdict is the caller's, by the reduced gradient.
  virtual bool finite() const { return true; }
  virtual void commit() {}
  virtual void rollback() {}
  virtual CodecHealth health() const { return {}; }
  /// Between steps. Names are "<parameter>/<what>"; what a source does not have starts fresh.
  virtual void save_state(const StateSink& put) const;
  virtual void load_state(const StateSource& get);
};

struct CodecFactory {
  /// A codec for this layout; what it needs for good it takes from the allocator, which must outlive it. Throws Unsupported where
  /// the bucket's device has no kernels for it.
  std::unique_ptr<Codec> (*make)(const CodecLayout& layout, const CodecSettings& settings, Allocator& allocator) = nullptr;
  /// Throws InvalidArgument, saying what would work, when the settings make no sense for a model with these gradients (of all
  /// buckets). May be null.
  void (*check)(std::span<const CodecMember> members, const CodecSettings& settings) = nullptr;
};
using CodecRegistry = Registry<CodecFactory>;
PANTHER_COMM_API const CodecRegistry& codec_registry();

}  // namespace panther::comm
