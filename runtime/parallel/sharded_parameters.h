#pragma once
// One optimizer for all ranks together: each keeps the state of its part of the parameters (ZeRO stage 1, arXiv 1910.02054).
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "runtime/export.h"
#include "runtime/optim/optimizer.h"
#include "runtime/parallel/gradient_sync.h"

namespace panther::runtime {

/// Matrices that are not sketched are cut into equal parts along their buckets, whatever the layers: part r is updated by rank r alone, from the part of the
/// summed gradient that only rank r gets, and sent to all. All else is small and updated by every rank. Training is the same up to rounding; a
/// step sends the bytes of an all_reduce, one half of them after the update.
///
/// Checkpoints hold the whole state by parameters, as without sharding: any number of ranks can go on from them.
class PANTHER_RUNTIME_API ShardedParameters {
 public:
  /// Moves the parameters that are cut into memory that is contiguous by bucket; their tensors stay the same. The collective must outlive this.
  ShardedParameters(const std::vector<ParameterInfo>& parameters, comm::Collective& collective, const CommConfig& config);

  /// What this rank's optimizer updates: parts of parameters, flat, under the parameters' names, and whole small ones.
  const std::vector<ParameterInfo>& owned() const { return owned_; }
  /// The parts' gradients are where `sync`, made for the same parameters and configuration, leaves the sums.
  void take_gradients(const GradientSync& sync);

  // Between finish() of a step and the next one, all ranks together:
  /// As gradient_norm() of all parameters.
  double gradient_norm() const;
  /// Sends every rank's parts to all; gives the bytes this rank sent.
  std::int64_t gather_parameters();
  /// The state of all parts, as an optimizer of the whole parameters has it.
  NamedTensors whole_state(Optimizer& optimizer) const;

  /// This rank's parts of a whole state. Throws InvalidArgument for a name that is missing or another size.
  void load_state(const std::map<std::string, at::Tensor>& whole, Optimizer& optimizer) const;

 private:
  struct Part {
    std::size_t bucket = 0;
    std::size_t parameter = 0;
    std::int64_t offset = 0;     ///< in the bucket
    std::int64_t begin = 0;      ///< in the flattened parameter
    std::int64_t numel = 0;
    at::Tensor tensor;
  };

  comm::Deadline deadline() const { return comm::Deadline::after(timeout_); }
  void all_gather(const at::Tensor& part, const at::Tensor& whole) const;

  comm::Collective& collective_;
  std::chrono::nanoseconds timeout_;
  std::vector<ParameterInfo> parameters_;
  comm::BucketPlan plan_;
  std::vector<at::Tensor> values_;          ///< by bucket; undefined where it is not cut
  std::vector<Part> parts_;                 ///< this rank's
  std::vector<ParameterInfo> owned_;
  std::vector<std::size_t> whole_;          ///< parameters that are not cut
};

}  // namespace panther::runtime
