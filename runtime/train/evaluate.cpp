#include "runtime/train/evaluate.h"

#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "runtime/layers/autocast.h"
#include "runtime/observe/timeline.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {

namespace {

/// Key of the order of validation samples: the same in every run.
constexpr std::uint64_t kValidationSeed = 0x76616c6964617465ull;

Batch to_device(Batch batch, const at::Device& device) {
  batch.inputs = batch.inputs.to(device);
  batch.targets = batch.targets.to(device);
  return batch;
}

}  // namespace

Evaluation evaluate(Model& model, const Dataset& dataset, World& world, std::int64_t batches, std::int64_t batch_size, bool bf16) {
  const TimelineRange range("evaluate");
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_grad;
  const bool was_training = model.is_training();
  model.eval();
  const std::int64_t samples = std::min(dataset.size(), batches * batch_size);
  double loss_sum = 0;
  double targets = 0;
  for (std::int64_t first = 0; first < samples; first += batch_size) {
    const Share share = share_of(std::min(batch_size, samples - first), world.size(), world.rank());
    if (share.count == 0) continue;
    std::vector<SampleRef> refs;
    for (std::int64_t i = 0; i < share.count; ++i) refs.push_back(sample_at(kValidationSeed, dataset.size(), first + share.begin + i));
    for (SampleRef& ref : refs) ref.epoch = 0;
    const Batch batch = to_device(dataset.collate(refs), torch_device(world.device));
    const AutocastGuard autocast(batch.inputs.device(), bf16);
    loss_sum += model.loss_sum(batch, ForwardContext{0, batch.sample_ids, 0}).item<double>();
    targets += static_cast<double>(share.count * dataset.shape().targets_per_sample());
  }
  model.train(was_training);
  const std::vector<double> sums = all_reduce_sum(world, {loss_sum, targets});
  return {sums[0] / sums[1], static_cast<std::int64_t>(sums[1]), std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
}

}  // namespace panther::runtime
