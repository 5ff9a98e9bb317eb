#pragma once
// Memory for one value of each trained parameter's size, cut into the buckets that are sent, and the exchange that sums them over ranks.
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/exchange/exchange.h"
#include "runtime/layers/layer.h"
#include "runtime/parallel/gradient_sync.h"

namespace panther::runtime {

/// The buckets in which these gradients travel among `ranks` ranks, by the trained ones of `parameters`. Pure. Throws what plan_buckets() throws.
comm::BucketPlan bucket_plan_of(const std::vector<ParameterInfo>& parameters, const CommConfig& config, int ranks);
/// Those that are trained. Throws InvalidArgument for parameters that are no leaves, or on several devices.
std::vector<ParameterInfo> trained(std::vector<ParameterInfo> parameters);

/// How long ranks wait for each other.
std::chrono::nanoseconds timeout_of(const CommConfig& config);

/// All ranks construct it together. Throws InvalidArgument when ranks have other parameters or settings, and for parameters on several devices.
struct ParameterBuckets {
  ParameterBuckets(std::vector<ParameterInfo> all, comm::Collective& collective, const CommConfig& config);

  Stream compute_stream() const;
  /// This rank's codec state, between steps: host tensors of their own.
  NamedTensors codec_state() const;
  /// As GradientSync::load_codec_state().
  void load_codec_state(const std::map<std::string, at::Tensor>& state);

  std::vector<ParameterInfo> parameters;   ///< those that are trained
  comm::BucketPlan plan;
  std::vector<at::Tensor> memory;          ///< by bucket
  std::vector<at::Tensor> values;          ///< by slot, which counts `parameters`: a view of its bucket
  Device device;
  std::unique_ptr<comm::Exchange> exchange;  ///< last: its thread ends before the memory goes

 private:
  void allocate();
};

}  // namespace panther::runtime
