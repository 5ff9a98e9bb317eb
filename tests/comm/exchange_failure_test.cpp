// What happens when a rank goes away, backward throws, or the caller errs. No test here may hang.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/comm/exchange_world.h"

namespace panther::comm {
namespace {

using namespace std::chrono_literals;
using testing::catch_error;
using testing::RankExchange;
using testing::Thrown;

const std::vector<GradientSlot> kSlots = {{"a", 100}, {"b", 100}, {"c", 100}};
const ExchangeConfig kOneSlotPerBucket = {.bucket_bytes = 1, .first_bucket_bytes = 1};

TEST(ExchangeFailure, AnExceptionInBackwardReachesThePeersAsPeerLost) {
  for (const bool some_sent : {false, true}) {
    std::atomic<int> lost{0};
    run_ranks_as_threads(3, [&](Collective& collective) {
      auto world = std::make_unique<RankExchange>(collective, kSlots, kOneSlotPerBucket);
      world->exchange->begin({});
      if (some_sent) world->exchange->mark_ready(2);
      if (collective.rank() == 1) {
        world.reset();  // as unwinding does
        return;
      }
      const Thrown thrown = catch_error([&] { world->exchange->finish(); });
      EXPECT_TRUE(thrown.any);
      EXPECT_EQ(thrown.code, ErrorCode::PeerLost);
      lost += thrown.code == ErrorCode::PeerLost;
    });
    EXPECT_EQ(lost, 2);
  }
}

TEST(ExchangeFailure, AbortDuringACollectiveEndsFinish) {
  run_ranks_as_threads(2, [](Collective& collective) {
    RankExchange world(collective, kSlots, kOneSlotPerBucket);
    world.exchange->begin({});
    if (collective.rank() == 0) {
      std::thread aborter([&] {
        std::this_thread::sleep_for(20ms);
        collective.abort();
      });
      const Thrown thrown = catch_error([&] { world.exchange->finish(); });  // rank 1 never sends
      aborter.join();
      EXPECT_EQ(thrown.code, ErrorCode::PeerLost);
      EXPECT_EQ(catch_error([&] { world.exchange->begin({}); }).code, ErrorCode::PeerLost) << "a dead exchange stays dead";
    } else {
      std::this_thread::sleep_for(60ms);
      EXPECT_EQ(catch_error([&] { world.exchange->finish(); }).code, ErrorCode::PeerLost);
    }
  });
}

TEST(ExchangeFailure, ARankThatNeverComesIsATimeout) {
  run_ranks_as_threads(2, [](Collective& collective) {
    RankExchange world(collective, kSlots, kOneSlotPerBucket, collective.rank() == 0 ? 50ms : std::chrono::nanoseconds(60s));
    world.exchange->begin({});
    if (collective.rank() == 0) {
      EXPECT_EQ(catch_error([&] { world.exchange->finish(); }).code, ErrorCode::Timeout);
    } else {
      std::this_thread::sleep_for(200ms);
      EXPECT_EQ(catch_error([&] { world.exchange->finish(); }).code, ErrorCode::PeerLost) << "told by the abort of rank 0, at once";
    }
  });
}

TEST(ExchangeFailure, AnErrorOfOneCommunicationThreadComesOutOfItsFinish) {
  run_ranks_as_threads(2, [](Collective& collective) {
    testing::Watched watched(collective);
    if (collective.rank() == 1) watched.before = [](const TensorView&) { fail(ErrorCode::OutOfMemory, "no room for the wire"); };
    RankExchange world(watched, kSlots, kOneSlotPerBucket);
    world.exchange->begin({});
    world.exchange->mark_ready(2);
    const Thrown thrown = catch_error([&] { world.exchange->finish(); });
    EXPECT_EQ(thrown.code, collective.rank() == 1 ? ErrorCode::OutOfMemory : ErrorCode::PeerLost);
  });
}

TEST(ExchangeFailure, DestructionBetweenStepsLeavesTheGroupAlive) {
  run_ranks_as_threads(2, [](Collective& collective) {
    for (int round = 0; round < 3; ++round) {
      RankExchange world(collective, kSlots, kOneSlotPerBucket);
      world.exchange->begin({});
      world.exchange->finish();
    }
    { const RankExchange never_used(collective, kSlots, kOneSlotPerBucket); }
    collective.barrier(Deadline::after(10s));
  });
}

TEST(ExchangeFailure, UsageErrorsAreNamed) {
  for (const int ranks : {1, 2}) {
    run_ranks_as_threads(ranks, [](Collective& collective) {
      RankExchange world(collective, kSlots, kOneSlotPerBucket);
      Exchange& exchange = *world.exchange;
      const auto expect = [](const Thrown& thrown, const char* part) {
        EXPECT_EQ(thrown.code, ErrorCode::InvalidArgument) << part;
        EXPECT_NE(thrown.message.find(part), std::string::npos) << thrown.message;
      };
      expect(catch_error([&] { exchange.mark_ready(0); }), "outside begin()");
      expect(catch_error([&] { exchange.finish(); }), "without begin()");
      expect(catch_error([&] { exchange.set_control({}, 0); }), "between begin() and finish()");
      exchange.begin({});
      expect(catch_error([&] { exchange.begin({}); }), "twice");
      expect(catch_error([&] { exchange.mark_ready(3); }), "no gradient 3");
      exchange.mark_ready(1);
      expect(catch_error([&] { exchange.mark_ready(1); }), "twice in one step");
      exchange.finish();
      expect(catch_error([&] { RankExchange(collective, kSlots, {.codec = "nome"}); }), "did you mean 'none'");
      BucketPlan plan = world.plan;
      plan.buckets[0].numel += 1;
      if (collective.size() == 1) return;
      expect(catch_error([&] { Exchange(collective, cpu_kernels(), plain_allocator(), plan, world.buckets, {}, 1s); }), "memory of bucket 0");
      expect(catch_error([&] { Exchange(collective, cpu_kernels(), plain_allocator(), world.plan, world.buckets, {.checked = true}, 1s); }),
             "bucket_limits()");
    });
  }
}

TEST(ExchangeFailure, TheControlWordCannotComeLate) {
  run_ranks_as_threads(2, [](Collective& collective) {
    RankExchange world(collective, kSlots, kOneSlotPerBucket);
    world.exchange->begin({});
    world.exchange->mark_ready(2);
    collective.size();
    const auto late = [&] { return catch_error([&] { world.exchange->set_control({}, 1); }).any; };
    while (!late()) std::this_thread::yield();  // until the communication thread has taken it up
    world.exchange->finish();
  });
}

}  // namespace
}  // namespace panther::comm
