#include <thread>

#include "core/error.h"
#include "runtime/data/dataset.h"

namespace panther::runtime {
namespace {

/// Each sample tells which one it is: inputs (index, epoch), target = index. Throws at a chosen position.
class CountingDataset final : public Dataset {
 public:
  explicit CountingDataset(std::int64_t size, std::int64_t bad_position = -1) : size_(size), bad_position_(bad_position) {}
  std::int64_t size() const override { return size_; }
  DataShape shape() const override { return {.vocabulary = size_, .features = 2, .sequence = 0, .regression = false}; }
  Batch collate(std::span<const SampleRef> samples) const override {
    const auto rows = static_cast<std::int64_t>(samples.size());
    Batch batch{at::empty({rows, 2}, at::kFloat), at::empty({rows}, at::kLong), at::empty({rows}, at::kLong)};
    for (std::int64_t i = 0; i < rows; ++i) {
      const SampleRef& sample = samples[static_cast<std::size_t>(i)];
      if (sample.position == bad_position_) fail(ErrorCode::Io, "sample ", sample.position, " is broken");
      batch.inputs.index_put_({i, 0}, static_cast<float>(sample.index));
      batch.inputs.index_put_({i, 1}, static_cast<float>(sample.epoch));
      batch.targets.index_put_({i}, sample.index);
      batch.sample_ids.index_put_({i}, sample.position);
    }
    return batch;
  }
  std::string summary() const override { return "counting"; }

 private:
  std::int64_t size_;
  std::int64_t bad_position_;
};

std::vector<std::int64_t> values(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<std::int64_t>(), tensor.const_data_ptr<std::int64_t>() + tensor.numel()};
}

struct Seen {
  std::vector<std::int64_t> targets, ids;
};

/// The global batches of `steps` steps, put together from all ranks and micro-batches in order.
std::vector<Seen> run(LoaderOptions options, int world, std::int64_t steps) {
  std::vector<Seen> result(static_cast<std::size_t>(steps));
  const auto data = std::make_shared<CountingDataset>(29);
  for (int rank = 0; rank < world; ++rank) {
    options.rank = rank;
    options.world_size = world;
    Loader loader(data, options);
    for (Seen& seen : result) {
      const StepBatch step = loader.next();
      EXPECT_EQ(step.micro.size(), static_cast<std::size_t>(options.accumulate));
      EXPECT_EQ(step.global_targets, options.global_batch);
      for (const Batch& batch : step.micro) {
        for (const std::int64_t v : values(batch.targets)) seen.targets.push_back(v);
        for (const std::int64_t v : values(batch.sample_ids)) seen.ids.push_back(v);
      }
    }
  }
  return result;
}

TEST(Loader, AnyWorldSizeSeesTheSameGlobalBatches) {
  LoaderOptions options{.seed = 11, .global_batch = 8};
  const auto alone = run(options, 1, 9);
  for (std::size_t step = 0; step < alone.size(); ++step) {
    for (std::int64_t i = 0; i < 8; ++i) {
      const SampleRef expected = sample_at(11, 29, static_cast<std::int64_t>(step) * 8 + i);
      EXPECT_EQ(alone[step].targets[static_cast<std::size_t>(i)], expected.index);
      EXPECT_EQ(alone[step].ids[static_cast<std::size_t>(i)], expected.position);
    }
  }
  for (const int world : {2, 3, 5, 8}) {
    for (const std::int64_t accumulate : {1, 2, 3, 5}) {
      for (const bool prefetch : {true, false}) {
        options.accumulate = accumulate;
        options.prefetch = prefetch;
        const auto shared = run(options, world, 9);
        for (std::size_t step = 0; step < alone.size(); ++step) {
          EXPECT_EQ(shared[step].targets, alone[step].targets) << world << " ranks, " << accumulate << " parts";
          EXPECT_EQ(shared[step].ids, alone[step].ids);
        }
      }
    }
  }
}

TEST(Loader, CutsUnevenSharesIntoNearEqualMicroBatches) {
  // 8 samples over 3 ranks are 3, 3, 2; in two parts 2+1, 2+1, 1+1; in four 1+1+1+0, ..., 1+1+0+0.
  const auto data = std::make_shared<CountingDataset>(100);
  for (int rank = 0; rank < 3; ++rank) {
    Loader two(data, {.global_batch = 8, .accumulate = 2, .rank = rank, .world_size = 3});
    const StepBatch step = two.next();
    EXPECT_EQ(step.micro[0].size(), rank < 2 ? 2 : 1);
    EXPECT_EQ(step.micro[1].size(), 1);
    Loader four(data, {.global_batch = 8, .accumulate = 4, .rank = rank, .world_size = 3});
    const StepBatch small = four.next();
    ASSERT_EQ(small.micro.size(), 4u);
    EXPECT_EQ(small.micro[3].size(), 0);
    EXPECT_EQ(small.micro[3].inputs.sizes(), at::IntArrayRef({0, 2}));
  }
}

TEST(Loader, ContinuesAtItsCursor) {
  const auto data = std::make_shared<CountingDataset>(13);
  Loader whole(data, {.seed = 5, .global_batch = 4});
  std::vector<StepBatch> steps;
  for (int i = 0; i < 8; ++i) steps.push_back(whole.next());
  EXPECT_EQ(steps[0].next_position, 4);
  Loader resumed(data, {.seed = 5, .global_batch = 4, .position = steps[4].next_position});
  for (std::size_t i = 5; i < 8; ++i) {
    const StepBatch step = resumed.next();
    EXPECT_TRUE(at::equal(step.micro[0].inputs, steps[i].micro[0].inputs));
    EXPECT_TRUE(at::equal(step.micro[0].sample_ids, steps[i].micro[0].sample_ids));
    EXPECT_EQ(step.next_position, steps[i].next_position);
  }
}

TEST(Loader, RethrowsWhatWentWrongOnItsThread) {
  for (const bool prefetch : {true, false}) {
    Loader loader(std::make_shared<CountingDataset>(50, 9), {.global_batch = 4, .prefetch = prefetch});
    EXPECT_EQ(loader.next().next_position, 4);
    EXPECT_EQ(loader.next().next_position, 8);
    for (int again = 0; again < 2; ++again) {
      try {
        loader.next();
        FAIL() << "the third batch holds the broken sample";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::Io);
        EXPECT_THAT(error.message(), testing::HasSubstr("sample 9"));
      }
    }
  }
}

TEST(Loader, StopsWhileItsThreadWaits) {
  const auto data = std::make_shared<CountingDataset>(50);
  for (int i = 0; i < 20; ++i) Loader loader(data, {.global_batch = 4});
  EXPECT_EQ(data.use_count(), 1);
}

TEST(Loader, RefusesFewerSamplesThanRanks) {
  try {
    Loader loader(std::make_shared<CountingDataset>(50), {.global_batch = 2, .rank = 0, .world_size = 3});
    FAIL() << "a batch of 2 cannot feed 3 ranks";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.message(), testing::AllOf(testing::HasSubstr("train.global_batch = 2"), testing::HasSubstr("ranks (3)")));
  }
  EXPECT_THROW(Loader(std::make_shared<CountingDataset>(5), {.global_batch = 2, .accumulate = 0}), Error);
}

TEST(Loader, CopiesToTheDevice) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  const auto data = std::make_shared<CountingDataset>(29);
  Loader host(data, {.global_batch = 8});
  Loader device(data, {.global_batch = 8, .device = at::Device(at::kCUDA, 0)});
  for (int i = 0; i < 20; ++i) {
    const StepBatch expected = host.next();
    const StepBatch step = device.next();
    EXPECT_TRUE(step.micro[0].inputs.is_cuda());
    EXPECT_TRUE(step.micro[0].sample_ids.is_cpu());
    EXPECT_TRUE(at::equal(step.micro[0].inputs.cpu(), expected.micro[0].inputs));
    EXPECT_TRUE(at::equal(step.micro[0].targets.cpu(), expected.micro[0].targets));
  }
}

}  // namespace
}  // namespace panther::runtime
