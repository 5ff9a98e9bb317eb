// The exchange with gradients on a device: two ranks as threads share it, messages pass through pinned memory.
#include <gtest/gtest.h>

#include "comm/exchange/exchange.h"
#include "comm/group.h"
#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "tests/comm/exchange_world.h"

namespace panther::comm {
namespace {

constexpr Device kDevice{DeviceKind::cuda, 0};

void run_on_device(int ranks, const std::function<void(Collective&)>& body) { run_ranks_as_threads(ranks, body, kDevice); }

struct PinnedFloats {
  explicit PinnedFloats(std::int64_t count) : data(static_cast<float*>(pinned_allocate(static_cast<std::size_t>(count) * sizeof(float)))) {}
  ~PinnedFloats() { pinned_release(data); }
  PinnedFloats(const PinnedFloats&) = delete;
  PinnedFloats& operator=(const PinnedFloats&) = delete;
  float* data;
};

/// One rank's buckets on the device.
struct DeviceWorld {
  DeviceWorld(Collective& collective, const std::vector<GradientSlot>& slots, const ExchangeConfig& config)
      : plan(plan_buckets(slots, bucket_limits(config, collective.size()))), compute(create_stream()) {
    for (const Bucket& bucket : plan.buckets) {
      memory.push_back(std::make_unique<Workspace>(plain_allocator(), static_cast<std::size_t>(bucket.numel) * sizeof(float), kDevice, compute));
      buckets.emplace_back(memory.back()->data(), DType::f32, std::initializer_list<std::int64_t>{bucket.numel}, kDevice);
    }
    exchange = std::make_unique<Exchange>(collective, kernels_for(DeviceKind::cuda), plain_allocator(), plan, buckets, config, std::chrono::seconds(60));
  }
  ~DeviceWorld() {
    exchange.reset();
    stream_synchronize(compute);
    memory.clear();
    destroy_stream(compute);
  }

  BucketPlan plan;
  Stream compute;
  std::vector<std::unique_ptr<Workspace>> memory;
  std::vector<TensorView> buckets;
  std::unique_ptr<Exchange> exchange;
};

float value_of(int step, int rank, std::size_t bucket, std::int64_t i) {
  return static_cast<float>((rank + 1) * ((step + static_cast<int>(bucket) * 3 + i) % 17));  // exact in bf16, sums too
}

/// Queues slow work, then the gradients; whoever does not wait for the compute stream sees the zeros before them.
void queue_gradients(DeviceWorld& world, const PinnedFloats& host, const Workspace& ballast, std::size_t bucket) {
  const Bucket& plan = world.plan.buckets[bucket];
  for (int i = 0; i < 4; ++i) fill_zero_async(ballast.data(), ballast.bytes(), world.compute);
  copy_async(world.buckets[bucket].data, host.data, static_cast<std::size_t>(plan.numel - plan.tail) * sizeof(float), world.compute);
}

void train_steps(Collective& collective, const ExchangeConfig& config) {
  const std::vector<GradientSlot> slots = {{"a", 50000}, {"b", 3000}, {"c", 70}, {"d", 20000}};
  DeviceWorld world(collective, slots, config);
  const Workspace ballast(plain_allocator(), 64 << 20, kDevice, world.compute);
  std::vector<std::unique_ptr<PinnedFloats>> host;
  for (const Bucket& bucket : world.plan.buckets) host.push_back(std::make_unique<PinnedFloats>(bucket.numel));
  for (int step = 0; step < 10; ++step) {
    for (const TensorView& bucket : world.buckets) fill_zero_async(bucket.data, static_cast<std::size_t>(bucket.bytes()), world.compute);
    world.exchange->begin(world.compute);
    world.exchange->set_control({.checkpoint = step == 7 && collective.rank() == 1}, 0.1 * step + collective.rank());
    for (std::size_t b = 0; b < world.buckets.size(); ++b) {
      for (std::int64_t i = 0; i < world.plan.buckets[b].numel; ++i) host[b]->data[i] = value_of(step, collective.rank(), b, i);
      queue_gradients(world, *host[b], ballast, b);
      for (const BucketMember& member : world.plan.buckets[b].members) world.exchange->mark_ready(member.slot);
    }
    const ExchangeReport report = world.exchange->finish();
    EXPECT_EQ(report.control.checkpoint, step == 7);
    EXPECT_EQ(report.loss_sum, (0.1 * step + 0) + (0.1 * step + 1));
    for (std::size_t b = 0; b < world.buckets.size(); ++b) {  // read on the compute stream: it must wait for the sums
      const Bucket& plan = world.plan.buckets[b];
      copy_async(host[b]->data, world.buckets[b].data, static_cast<std::size_t>(plan.numel) * sizeof(float), world.compute);
      stream_synchronize(world.compute);
      for (const BucketMember& member : plan.members) {
        for (std::int64_t i = member.offset; i < member.offset + member.numel; ++i) {
          ASSERT_EQ(host[b]->data[i], value_of(step, 0, b, i) + value_of(step, 1, b, i)) << "step " << step << " bucket " << b << " element " << i;
        }
      }
    }
  }
}

TEST(ExchangeCuda, StreamsAreOrderedAndSumsExact) {
  if (device_count() == 0) GTEST_SKIP() << why_no_cuda();
  for (const char* codec : {"none", "half"}) {
    for (const bool checked : {false, true}) {
      const ExchangeConfig config{.codec = codec, .bucket_bytes = 65536, .first_bucket_bytes = 1024, .checked = checked};
      run_on_device(2, [&](Collective& collective) { train_steps(collective, config); });
    }
  }
}

TEST(ExchangeCuda, DigestsPassThroughDeviceMemory) {
  if (device_count() == 0) GTEST_SKIP() << why_no_cuda();
  run_on_device(2, [](Collective& collective) {
    const Deadline deadline = Deadline::after(std::chrono::seconds(30));
    require_equal_digests(collective, {{"parameters", 5}, {"binary", 6}}, deadline);
    const auto thrown = testing::catch_error(
        [&] { require_equal_digests(collective, {{"parameters", 5}, {"binary", static_cast<std::uint64_t>(collective.rank())}}, deadline); });
    EXPECT_EQ(thrown.code, ErrorCode::InvalidArgument);
    EXPECT_NE(thrown.message.find("binary: rank 1"), std::string::npos) << thrown.message;
  });
}

TEST(ExchangeCuda, AnAbandonedStepFreesThePeer) {
  if (device_count() == 0) GTEST_SKIP() << why_no_cuda();
  run_on_device(2, [](Collective& collective) {
    auto world = std::make_unique<DeviceWorld>(collective, std::vector<GradientSlot>{{"a", 100}}, ExchangeConfig{});
    world->exchange->begin(world->compute);
    if (collective.rank() == 1) {
      world.reset();
      return;
    }
    EXPECT_EQ(testing::catch_error([&] { world->exchange->finish(); }).code, ErrorCode::PeerLost);
  });
}

}  // namespace
}  // namespace panther::comm
