// Ranks as threads against torch alone on the whole batch.
#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <atomic>
#include <thread>

#include "runtime/layers/dense_product.h"
#include "tests/runtime/parallel_fixture.h"

namespace panther::runtime {
namespace {

using namespace std::chrono_literals;
using testing::catch_error;
using testing::Data;
using testing::Net;
using testing::relative_error;
using testing::Shard;
using testing::small_buckets;
using testing::Thrown;

class GradientSyncTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { at::set_num_threads(1); }
};

void backward_of_shard(Net& net, const Data& data, const Shard& shard) {
  if (shard.count > 0) net.loss(data.x.narrow(0, shard.begin, shard.count), data.y.narrow(0, shard.begin, shard.count)).backward();
}

void sgd(Net& net, double lr) {
  const at::NoGradGuard no_grad;
  for (ParameterInfo& parameter : net.parameters) parameter.tensor.sub_(parameter.tensor.grad(), lr);
}

TEST_F(GradientSyncTest, AnyNumberOfRanksTrainsAsOne) {
  constexpr int kSteps = 20;
  for (const std::int64_t samples : {8, 2}) {  // uneven for 3 ranks; fewer samples than ranks
    const Data data(samples);
    Net alone;
    for (int step = 0; step < kSteps; ++step) {
      const std::vector<at::Tensor> gradients = testing::reference_gradients(alone, data);
      const at::NoGradGuard no_grad;
      for (std::size_t i = 0; i < gradients.size(); ++i) alone[i].sub_(gradients[i], 1e-3);
    }
    for (const int ranks : {1, 2, 3, 4}) {
      comm::run_ranks_as_threads(ranks, [&](comm::Collective& collective) {
        Net net;
        GradientSync sync(net.parameters, collective, small_buckets());
        const Shard shard(samples, collective.rank(), ranks);
        for (int step = 0; step < kSteps; ++step) {
          sync.begin_step(shard.count > 0 ? 1 : 0);
          sync.set_control({}, static_cast<double>(shard.count));
          backward_of_shard(net, data, shard);
          EXPECT_EQ(sync.finish().loss_sum, static_cast<double>(samples));
          sgd(net, 1e-3);
        }
        for (std::size_t i = 0; i < net.parameters.size(); ++i) {
          EXPECT_LT(relative_error(net[i], alone[i]), 1e-12) << net.parameters[i].name << " with " << ranks << " ranks";
        }
      });
    }
  }
}

TEST_F(GradientSyncTest, F32AgreesWithinItsRoundingAndHalfWithinBf16) {
  constexpr int kRanks = 3;
  const Data data(8, at::kFloat);
  Net alone(at::kFloat);
  const std::vector<at::Tensor> expected = testing::reference_gradients(alone, data);
  // Every rank's gradient and their sum are rounded once on the wire, by at most 2^-8 of their own size; 1e-5 is for f32.
  std::vector<at::Tensor> bound;
  for (const at::Tensor& gradient : expected) bound.push_back(gradient.abs());
  for (int rank = 0; rank < kRanks; ++rank) {
    const Shard shard(8, rank, kRanks);
    Data part = data;
    part.x = data.x.narrow(0, shard.begin, shard.count);
    part.y = data.y.narrow(0, shard.begin, shard.count);
    const std::vector<at::Tensor> gradients = testing::reference_gradients(alone, part);
    for (std::size_t i = 0; i < bound.size(); ++i) bound[i] = bound[i] + gradients[i].abs();
  }
  for (const char* exchange : {"none", "half"}) {
    comm::run_ranks_as_threads(kRanks, [&](comm::Collective& collective) {
      Net net(at::kFloat);
      GradientSync sync(net.parameters, collective, small_buckets(exchange));
      sync.begin_step(1);
      backward_of_shard(net, data, Shard(8, collective.rank(), kRanks));
      sync.finish();
      const double unit = exchange == std::string("half") ? 0x1p-8 * 1.01 : 0.0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const at::Tensor error = (net[i].grad() - expected[i]).abs();
        const at::Tensor allowed = bound[i] * unit + 1e-5 * bound[i].max();
        EXPECT_TRUE(error.le(allowed).all().item<bool>()) << net.parameters[i].name << " " << exchange << " " << error.max().item<double>();
      }
    });
  }
}

TEST_F(GradientSyncTest, GradientsAreViewsOfTheBucketsAndStayThere) {
  comm::run_ranks_as_threads(2, [](comm::Collective& collective) {
    const Data data(6);
    Net net;
    net[2] = net[2].detach().t().contiguous().t().set_requires_grad(true);  // dense, not row-major
    GradientSync sync(net.parameters, collective, small_buckets());
    std::vector<const void*> places;
    for (const comm::Bucket& bucket : sync.plan().buckets) {
      const auto first = static_cast<std::size_t>(bucket.members.front().slot);
      const char* base = static_cast<const char*>(net[first].grad().const_data_ptr());
      for (const comm::BucketMember& member : bucket.members) {
        const at::Tensor& gradient = net[static_cast<std::size_t>(member.slot)].grad();
        EXPECT_TRUE(gradient.storage().is_alias_of(net[first].grad().storage())) << "one bucket, one memory";
        EXPECT_EQ(static_cast<const char*>(gradient.const_data_ptr()) - base, member.offset * 8);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(gradient.const_data_ptr()) % 64, 0u);
      }
    }
    for (const ParameterInfo& parameter : net.parameters) places.push_back(parameter.tensor.grad().const_data_ptr());
    EXPECT_EQ(net[2].grad().strides(), net[2].strides());
    for (int step = 0; step < 3; ++step) {
      sync.begin_step(1);
      backward_of_shard(net, data, Shard(6, collective.rank(), 2));
      sync.finish();
      for (std::size_t i = 0; i < places.size(); ++i) EXPECT_EQ(net[i].grad().const_data_ptr(), places[i]);
    }
    Net plain;
    const std::vector<at::Tensor> expected = testing::reference_gradients(plain, data);
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_LT(relative_error(net[i].grad(), expected[i]), 1e-12) << net.parameters[i].name;
  });
}

// Layers that compute gradients in the buckets, a weight of theirs used twice, and one that torch's embedding uses too.
TEST_F(GradientSyncTest, GradientsComputedInTheBucketsAreTheSame) {
  at::manual_seed(1);
  const at::Tensor table = at::randn({40, 32}), square = at::randn({32, 32}), tokens = at::randint(40, {4, 20}, at::kLong);
  const auto loss = [](const std::vector<ParameterInfo>& p, const at::Tensor& batch) {
    const at::Tensor h = at::tanh(dense_product(at::embedding(p[0].tensor, batch), p[1].tensor, {}));
    return dense_product(dense_product(h, p[1].tensor, {}), p[0].tensor, {}).pow(2).sum() * 1e-3;
  };
  const auto copies = [&](at::ScalarType dtype) {
    return std::vector<ParameterInfo>{{"table", table.to(dtype, false, true).set_requires_grad(true)}, {"square", square.to(dtype, false, true).set_requires_grad(true)}};
  };
  const std::vector<ParameterInfo> reference = copies(at::kDouble);
  loss(reference, tokens).backward();
  comm::run_ranks_as_threads(2, [&](comm::Collective& collective) {
    std::vector<ParameterInfo> mine = copies(at::kFloat);
    GradientSync sync(mine, collective, small_buckets());
    const std::vector<const void*> places{mine[0].tensor.grad().const_data_ptr(), mine[1].tensor.grad().const_data_ptr()};
    for (const int passes : {1, 2, 1}) {
      sync.begin_step(passes);
      const at::Tensor half = tokens.narrow(0, 2 * collective.rank(), 2);
      for (int pass = 0; pass < passes; ++pass) loss(mine, passes == 1 ? half : half.narrow(0, pass, 1)).backward();
      sync.finish();
      for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(mine[i].tensor.grad().const_data_ptr(), places[i]);
        EXPECT_LT(relative_error(mine[i].tensor.grad(), reference[i].tensor.grad()), 1e-5) << mine[i].name;
      }
    }
  });
}

TEST_F(GradientSyncTest, AccumulationSendsInTheLastPassOnly) {
  comm::run_ranks_as_threads(2, [](comm::Collective& collective) {
    const Data data(8);
    Net net;
    Net alone;
    const std::vector<at::Tensor> expected = testing::reference_gradients(alone, data);
    GradientSync sync(net.parameters, collective, small_buckets());
    std::atomic<int> sent{0};
    sync.set_trace([&](const char*, std::int64_t, bool begin) { sent += begin ? 1 : 0; });
    for (int step = 0; step < 2; ++step) {
      sent = 0;
      sync.begin_step(4);
      for (int micro = 0; micro < 4; ++micro) {
        EXPECT_EQ(sent, 0) << "nothing leaves before the last pass";
        backward_of_shard(net, data, Shard(8, collective.rank() * 4 + micro, 8));
        if (micro == 2) std::this_thread::sleep_for(5ms);
      }
      sync.finish();
      EXPECT_EQ(sent, static_cast<int>(sync.plan().buckets.size()));
      for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_LT(relative_error(net[i].grad(), expected[i]), 1e-12) << net.parameters[i].name;
    }
  });
}

TEST_F(GradientSyncTest, TheFirstBucketTravelsWhileBackwardStillRuns) {
  comm::run_ranks_as_threads(2, [](comm::Collective& collective) {
    const Data data(4);
    Net net;
    CommConfig config = small_buckets();
    config.bucket_bytes = 64;
    GradientSync sync(net.parameters, collective, config);
    std::atomic<bool> arrived{false};
    sync.set_trace([&](const char*, std::int64_t bucket, bool begin) { arrived = arrived || (bucket == 0 && !begin); });
    bool overlapped = false;
    // The gradient of the first layer comes last: it waits here until the last layer's has been summed over the ranks.
    net[0].register_hook([&](const at::Tensor& gradient) {
      const auto give_up = std::chrono::steady_clock::now() + 30s;
      while (!arrived && std::chrono::steady_clock::now() < give_up) std::this_thread::sleep_for(1ms);
      overlapped = arrived;
      return gradient;
    });
    sync.begin_step(1);
    backward_of_shard(net, data, Shard(4, collective.rank(), 2));
    sync.finish();
    EXPECT_TRUE(overlapped);
  });
}

TEST_F(GradientSyncTest, ParametersWithoutGradientAreZeroAndStaleValuesGo) {
  comm::run_ranks_as_threads(2, [](comm::Collective& collective) {
    Net net;
    GradientSync sync(net.parameters, collective, small_buckets());
    sync.begin_step(1);
    for (ParameterInfo& parameter : net.parameters) parameter.tensor.mutable_grad() = at::ones_like(parameter.tensor.detach());
    sync.finish();
    EXPECT_EQ(net[3].grad().sum().item<double>(), 2 * 7) << "what somebody set before backward is summed";
    sync.begin_step(1);
    net[1].sum().backward();
    sync.finish();
    for (std::size_t i = 0; i < net.parameters.size(); ++i) {
      EXPECT_EQ(net[i].grad().sum().item<double>(), i == 1 ? 2.0 * testing::kHidden : 0.0) << net.parameters[i].name;
    }
  });
}

TEST_F(GradientSyncTest, FrozenParametersAreLeftAlone) {
  comm::run_ranks_as_threads(2, [](comm::Collective& collective) {
    Net net;
    net[3].set_requires_grad(false);
    GradientSync sync(net.parameters, collective, small_buckets());
    EXPECT_FALSE(net[3].grad().defined());
    std::size_t members = 0;
    for (const comm::Bucket& bucket : sync.plan().buckets) members += bucket.members.size();
    EXPECT_EQ(members, net.parameters.size() - 1);
  });
}

TEST_F(GradientSyncTest, ResetGradientsComeBackAtTheNextStep) {
  const Data data(4);
  comm::run_ranks_as_threads(2, [&](comm::Collective& collective) {
    Net net;
    Net alone;
    GradientSync sync(net.parameters, collective, small_buckets());
    for (ParameterInfo& parameter : net.parameters) parameter.tensor.mutable_grad() = at::Tensor();  // optimizer.zero_grad()
    sync.begin_step(1);
    backward_of_shard(net, data, Shard(4, collective.rank(), 2));
    sync.finish();
    EXPECT_LT(relative_error(net[0].grad(), testing::reference_gradients(alone, data)[0]), 1e-12);
  });
}

void expect(const Thrown& thrown, const char* part) {
  EXPECT_EQ(thrown.code, ErrorCode::InvalidArgument) << thrown.message;
  EXPECT_NE(thrown.message.find(part), std::string::npos) << thrown.message;
}

TEST_F(GradientSyncTest, MisuseIsNamed) {
  comm::run_ranks_as_threads(1, [](comm::Collective& collective) {
    const Data data(4);
    const auto backward = [&](Net& net) { backward_of_shard(net, data, Shard(4, 0, 1)); };
    Net net;
    {
      GradientSync sync(net.parameters, collective, small_buckets());
      expect(catch_error([&] { GradientSync(net.parameters, collective, small_buckets()); }), "one GradientSync");
      expect(catch_error([&] { backward(net); }), "outside a step");
      sync.begin_step(1);
      backward(net);
      expect(catch_error([&] { backward(net); }), "more backward passes");
      sync.finish();
      sync.begin_step(2);
      backward(net);
      net[0].mutable_grad() = at::Tensor();
      expect(catch_error([&] { backward(net); }), "'in.weight' left its bucket");
    }
    Net fresh;
    { const GradientSync sync(fresh.parameters, collective, small_buckets()); }
    backward(fresh);  // hooks are gone with the sync
    expect(catch_error([&] { GradientSync({{"computed", fresh[0] * 2}}, collective, small_buckets()); }), "only leaves");
  });
}

TEST_F(GradientSyncTest, RanksWithOtherParametersRefuseToStart) {
  comm::run_ranks_as_threads(3, [](comm::Collective& collective) {
    Net net;
    if (collective.rank() == 2) net[1] = at::zeros({testing::kHidden + 1}, at::kDouble).set_requires_grad(true);
    expect(catch_error([&] { GradientSync(net.parameters, collective, small_buckets()); }), "the gradient buckets: rank 2");
    Net same;
    expect(catch_error([&] { GradientSync(same.parameters, collective, small_buckets(collective.rank() == 0 ? "half" : "none")); }), "comm.exchange: rank 0");
    CommConfig other = small_buckets();
    other.codec.residual_limit = collective.rank() == 1 ? 9 : 10;
    expect(catch_error([&] { GradientSync(same.parameters, collective, other); }), "comm.codec: rank 1");
    CommConfig checked = small_buckets();
    checked.checked = collective.rank() == 2;
    expect(catch_error([&] { GradientSync(same.parameters, collective, checked); }), "comm.checked: rank 2");
  });
}

TEST_F(GradientSyncTest, AnExceptionInBackwardFreesThePeers) {
  std::atomic<int> lost{0};
  comm::run_ranks_as_threads(3, [&](comm::Collective& collective) {
    const Data data(6);
    Net net;
    auto sync = std::make_unique<GradientSync>(net.parameters, collective, small_buckets());
    if (collective.rank() == 1) {
      net[0].register_hook([](const at::Tensor& gradient) -> at::Tensor {
        if (gradient.defined()) fail(ErrorCode::NonFinite, "made to fail");
        return gradient;
      });
    }
    const Thrown thrown = catch_error([&] {
      sync->begin_step(1);
      backward_of_shard(net, data, Shard(6, collective.rank(), 3));
      sync->finish();
    });
    sync.reset();
    EXPECT_EQ(thrown.code, collective.rank() == 1 ? ErrorCode::NonFinite : ErrorCode::PeerLost) << thrown.message;
    lost += thrown.code == ErrorCode::PeerLost ? 1 : 0;
  });
  EXPECT_EQ(lost, 2);
}

}  // namespace
}  // namespace panther::runtime
