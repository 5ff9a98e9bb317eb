#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "core/error.h"
#include "runtime/data/dataset.h"
#include "runtime/observe/timeline.h"

namespace panther::runtime {
namespace {

constexpr std::size_t kPrefetchDepth = 2;

void validate(const LoaderOptions& options) {
  PANTHER_CHECK(options.world_size > 0 && options.rank >= 0 && options.rank < options.world_size, "rank ", options.rank, " of ",
                options.world_size);
  PANTHER_REQUIRE(options.accumulate >= 1, "train.accumulate = ", options.accumulate, " must be at least 1");
  PANTHER_REQUIRE(options.position >= 0, "the data cursor stands at ", options.position, "; it cannot be negative");
  PANTHER_REQUIRE(options.global_batch >= options.world_size, "train.global_batch = ", options.global_batch,
                  " gives fewer samples per step than there are ranks (", options.world_size,
                  "): raise train.global_batch or start fewer ranks");
}

at::Tensor pinned(const at::Tensor& tensor) { return tensor.numel() == 0 ? tensor : tensor.pin_memory(); }

}  // namespace

struct Loader::Impl {
  std::shared_ptr<const Dataset> dataset;
  LoaderOptions options;
  std::int64_t position = 0;  ///< of the next batch to prepare

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<StepBatch> ready;
  std::exception_ptr failure;
  bool stop = false;
  std::thread thread;

  StepBatch prepare() {
    TimelineRange range("data.prepare", position);
    const Share mine = share_of(options.global_batch, options.world_size, options.rank);
    StepBatch step;
    std::vector<SampleRef> samples;
    for (int part = 0; part < options.accumulate; ++part) {
      const Share cut = share_of(mine.count, static_cast<int>(options.accumulate), part);
      samples.clear();
      for (std::int64_t i = 0; i < cut.count; ++i) {
        samples.push_back(sample_at(options.seed, dataset->size(), position + mine.begin + cut.begin + i));
      }
      Batch batch = dataset->collate(samples);
      if (options.device.is_cuda()) {
        batch.inputs = pinned(batch.inputs);
        batch.targets = pinned(batch.targets);
      }
      step.micro.push_back(std::move(batch));
    }
    position += options.global_batch;
    step.next_position = position;
    step.global_targets = options.global_batch * dataset->shape().targets_per_sample();
    step.local_targets = mine.count * dataset->shape().targets_per_sample();
    return step;
  }

  void run() noexcept {
    try {
      timeline_name_thread("data");
      while (true) {
        {
          std::unique_lock lock(mutex);
          changed.wait(lock, [&] { return stop || ready.size() < kPrefetchDepth; });
          if (stop) return;
        }
        StepBatch step = prepare();
        const std::lock_guard lock(mutex);
        ready.push_back(std::move(step));
        changed.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
      changed.notify_all();
    }
  }

  /// Batches that were ready before a failure still come out, in order.
  StepBatch take() {
    if (!options.prefetch) return prepare();
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !ready.empty() || failure; });
    if (ready.empty()) std::rethrow_exception(failure);
    StepBatch step = std::move(ready.front());
    ready.pop_front();
    changed.notify_all();
    return step;
  }
};

Loader::Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options) : impl_(std::make_unique<Impl>()) {
  PANTHER_CHECK(dataset != nullptr && dataset->size() > 0, "a loader needs a data set with samples");
  validate(options);
  impl_->dataset = std::move(dataset);
  impl_->options = options;
  impl_->position = options.position;
  if (options.prefetch) impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

Loader::~Loader() {
  if (!impl_->thread.joinable()) return;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
    impl_->changed.notify_all();
  }
  impl_->thread.join();
}

StepBatch Loader::next() {
  const auto begin = std::chrono::steady_clock::now();
  StepBatch step = impl_->take();
  if (!impl_->options.device.is_cpu()) {
    // Pinned memory outlives the copy: torch's host allocator waits for the stream before it hands the block out again.
    for (Batch& batch : step.micro) {
      batch.inputs = batch.inputs.to(impl_->options.device, /*non_blocking=*/true);
      batch.targets = batch.targets.to(impl_->options.device, /*non_blocking=*/true);
    }
  }
  step.wait_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return step;
}

}  // namespace panther::runtime
