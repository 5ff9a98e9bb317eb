// One optimizer cut over ranks (threads), against a whole one on every rank.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <mutex>

#include "runtime/parallel/sharded_parameters.h"
#include "tests/runtime/parallel_fixture.h"

namespace panther::runtime {
namespace {

using ::testing::HasSubstr;
using testing::catch_error;
using testing::Data;
using testing::Net;
using testing::relative_error;
using testing::Shard;
using testing::small_buckets;

constexpr std::int64_t kSamples = 8;

class ShardedTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { at::set_num_threads(1); }
};

OptimConfig optimizer(const std::string& kind) {
  OptimConfig config;
  config.kind = kind;
  config.lr = 1e-2;
  return config;
}

/// A rank that trains with a sharded optimizer.
struct Trainer {
  Trainer(comm::Collective& group, const OptimConfig& optim, std::size_t sketched = 99) : collective(group) {
    CommConfig config = small_buckets();
    config.shard_optimizer = true;
    if (sketched < net.parameters.size()) net.parameters[sketched].tag = GradientTag::sketched_exact;
    shards = std::make_unique<ShardedParameters>(net.parameters, collective, config);
    optimizer = make_optimizer(optim, shards->owned());
    sync = std::make_unique<GradientSync>(net.parameters, collective, config);
    shards->take_gradients(*sync);
  }
  double step(const Data& data, double clip) {
    const Shard shard(kSamples, collective.rank(), collective.size());
    sync->begin_step(shard.count > 0 ? 1 : 0);
    sync->set_control({}, 0);
    if (shard.count > 0) net.loss(data.x.narrow(0, shard.begin, shard.count), data.y.narrow(0, shard.begin, shard.count)).backward();
    sync->finish();
    const double norm = shards->gradient_norm();
    optimizer->step(1e-2, clip_scale(norm, clip));
    sent = shards->gather_parameters();
    return norm;
  }
  comm::Collective& collective;
  Net net;
  std::unique_ptr<ShardedParameters> shards;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<GradientSync> sync;
  std::int64_t sent = 0;
};

/// The same by torch's gradients of the whole batch and a whole optimizer.
struct Reference {
  explicit Reference(const OptimConfig& optim) : optimizer(make_optimizer(optim, net.parameters)) {}
  double step(const Data& data, double clip) {
    const std::vector<at::Tensor> gradients = testing::reference_gradients(net, data);
    for (std::size_t i = 0; i < gradients.size(); ++i) net[i].mutable_grad() = gradients[i];
    const double norm = gradient_norm(net.parameters);
    optimizer->step(1e-2, clip_scale(norm, clip));
    return norm;
  }
  Net net;
  std::unique_ptr<Optimizer> optimizer;
};

TEST_F(ShardedTest, AnyNumberOfRanksTrainsAsAWholeOptimizer) {
  const Data data(kSamples);
  for (const char* kind : {"adamw", "sgd"}) {
    Reference reference(optimizer(kind));
    std::vector<double> norms;
    for (int step = 0; step < 12; ++step) norms.push_back(reference.step(data, 5.0));
    for (const int ranks : {2, 3, 4, 7}) {
      for (const std::size_t sketched : {99, 2}) {  // with one matrix that is not cut
        comm::run_ranks_as_threads(ranks, [&](comm::Collective& collective) {
          Trainer trainer(collective, optimizer(kind), sketched);
          for (int step = 0; step < 12; ++step) EXPECT_NEAR(trainer.step(data, 5.0), norms[static_cast<std::size_t>(step)], 1e-10 * norms[0]);
          for (std::size_t i = 0; i < trainer.net.parameters.size(); ++i) {
            EXPECT_LT(relative_error(trainer.net[i], reference.net[i]), 1e-12) << kind << " " << trainer.net.parameters[i].name << ", " << ranks << " ranks";
          }
          std::map<std::string, at::Tensor> expected;
          for (auto& [name, tensor] : reference.optimizer->state()) expected.emplace(name, tensor);
          const NamedTensors whole = trainer.shards->whole_state(*trainer.optimizer);
          ASSERT_EQ(whole.size(), expected.size());
          for (const auto& [name, tensor] : whole) {
            ASSERT_EQ(tensor.sizes(), expected.at(name).sizes()) << name;
            EXPECT_LT(relative_error(tensor, expected.at(name)), 1e-10) << name;
          }
        });
      }
    }
  }
}

TEST_F(ShardedTest, EveryElementHasOneOwnerAndStateShrinks) {
  for (const int ranks : {2, 4}) {
    std::mutex mutex;
    std::map<std::string, std::int64_t> owned;
    comm::run_ranks_as_threads(ranks, [&](comm::Collective& collective) {
      Trainer trainer(collective, optimizer("adamw"));
      const std::lock_guard lock(mutex);
      for (const ParameterInfo& info : trainer.shards->owned()) owned[info.name] += info.tensor.numel();
    });
    Net net;
    for (const ParameterInfo& parameter : net.parameters) {
      EXPECT_EQ(owned.at(parameter.name), parameter.tensor.numel() * (parameter.tensor.dim() >= 2 ? 1 : ranks)) << parameter.name;
    }
  }
}

TEST_F(ShardedTest, AStateMovesToAnotherNumberOfRanks) {
  const Data data(kSamples);
  Reference reference(optimizer("adamw"));
  for (int step = 0; step < 10; ++step) reference.step(data, 0);
  std::map<std::string, at::Tensor> state, model;
  comm::run_ranks_as_threads(2, [&](comm::Collective& collective) {
    Trainer trainer(collective, optimizer("adamw"));
    for (int step = 0; step < 5; ++step) trainer.step(data, 0);
    const NamedTensors whole = trainer.shards->whole_state(*trainer.optimizer);
    if (collective.rank() != 0) return;
    for (const auto& [name, tensor] : whole) state[name] = tensor.clone();
    for (const ParameterInfo& parameter : trainer.net.parameters) model[parameter.name] = parameter.tensor.detach().clone();
  });
  comm::run_ranks_as_threads(3, [&](comm::Collective& collective) {
    Trainer trainer(collective, optimizer("adamw"));
    {
      const at::NoGradGuard no_grad;
      for (ParameterInfo& parameter : trainer.net.parameters) parameter.tensor.copy_(model.at(parameter.name));
    }
    trainer.shards->load_state(state, *trainer.optimizer);
    trainer.optimizer->set_steps_taken(5);
    for (int step = 0; step < 5; ++step) trainer.step(data, 0);
    for (std::size_t i = 0; i < trainer.net.parameters.size(); ++i) EXPECT_LT(relative_error(trainer.net[i], reference.net[i]), 1e-12) << i;
    std::map<std::string, at::Tensor> incomplete = state;
    incomplete.erase("in.weight.v");
    EXPECT_THAT(catch_error([&] { trainer.shards->load_state(incomplete, *trainer.optimizer); }).message, HasSubstr("in.weight.v"));
  });
}

TEST_F(ShardedTest, BytesAreThoseOfAnAllReduceAndPlannedAsSent) {
  comm::run_ranks_as_threads(2, [&](comm::Collective& collective) {
    Trainer trainer(collective, optimizer("adamw"));
    const Data data(kSamples);
    CommConfig config = small_buckets();
    config.shard_optimizer = true;
    const Shard shard(kSamples, collective.rank(), 2);
    trainer.sync->begin_step(1);
    trainer.sync->set_control({}, 0);
    trainer.net.loss(data.x.narrow(0, shard.begin, shard.count), data.y.narrow(0, shard.begin, shard.count)).backward();
    const std::int64_t sent = trainer.sync->finish().bytes_sent;
    EXPECT_EQ(sent + trainer.shards->gather_parameters(), planned_bytes_sent(trainer.net.parameters, config, 2));
    config.shard_optimizer = false;
    const auto together = static_cast<double>(planned_bytes_sent(trainer.net.parameters, config, 2));
    // Padding of small buckets apart.
    EXPECT_NEAR(static_cast<double>(sent + trainer.shards->gather_parameters()) / together, 1.0, 0.2);
  });
}

}  // namespace
}  // namespace panther::runtime
