#pragma once
// How a bucket travels: `plan` says which collectives of which sizes, `encode` fills what is sent, `decode` reads what came.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/export.h"
#include "core/registry.h"
#include "kernels/allocator.h"
#include "kernels/kernel_set.h"

namespace panther::comm {

/// One collective of a codec: every rank contributes `count` elements of `dtype`. After an all_gather the wire that `decode` sees
/// holds every rank's `count` elements in rank order, in memory of the exchange.
struct Stage {
  enum class Kind { all_reduce, all_gather } kind = Kind::all_reduce;
  DType dtype = DType::f32;
  std::int64_t count = 0;
  ReduceOp op = ReduceOp::sum;
};

/// Encodes one bucket. State, where a codec has any, belongs to parameter names and logical slices. One thread.
class PANTHER_COMM_API Codec {
 public:
  virtual ~Codec();
  virtual std::vector<Stage> plan(const TensorView& bucket) const = 0;
  /// The wire buffer of stage `index`; may alias the bucket (then nothing is copied).
  virtual TensorView encode(std::size_t index, const TensorView& bucket, const KernelSet& kernels, Stream stream) = 0;
  /// Called after the stage's collective finished; the last stage leaves the reduced gradient in the bucket.
  virtual void decode(std::size_t index, const TensorView& wire, const TensorView& bucket, const KernelSet& kernels, Stream stream) = 0;
  /// True when all_reduce may sum encoded values.
  virtual bool linear() const = 0;
  /// True when an element that is an integer of 0 to 255 on one rank and zero on the others comes back exactly: then the control
  /// word rides in the bucket, else it is a message of its own.
  virtual bool keeps_bytes() const = 0;
};

struct CodecFactory {
  /// A codec for this bucket memory; what it needs for good it takes from the allocator, which must outlive it.
  std::unique_ptr<Codec> (*make)(const TensorView& bucket, Allocator& allocator) = nullptr;
};
using CodecRegistry = Registry<CodecFactory>;
PANTHER_COMM_API const CodecRegistry& codec_registry();

}  // namespace panther::comm
