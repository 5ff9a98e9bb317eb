// The parts that backends are made of, and the choice among them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "comm/backends/message_collective.h"
#include "comm/group.h"
#include "core/error.h"
#include "tests/comm/coded_values.h"
#include "tests/comm/queue_transport.h"

namespace panther::comm::testing {
namespace {

Deadline soon() { return Deadline::after(std::chrono::seconds(20)); }

GroupOptions options_of(const std::string& backend, int size) {
  GroupOptions options;
  options.backend = backend;
  options.size = size;
  return options;
}

ErrorCode code_of(const std::function<void()>& body, std::string* message) {
  try {
    body();
  } catch (const Error& error) {
    *message = error.what();
    return error.code();
  }
  ADD_FAILURE() << "no error was thrown";
  return ErrorCode::Internal;
}

TEST(ResolveBackend, AutoFollowsTheWorld) {
  GroupOptions options = options_of("auto", 1);
  EXPECT_EQ(resolve_backend(options), "self");
  options.size = 2;
  EXPECT_EQ(resolve_backend(options), "tcp");
  options.mpi_launched = true;
  EXPECT_EQ(resolve_backend(options), "mpi");
  options.device.kind = DeviceKind::cuda;
  EXPECT_EQ(resolve_backend(options), "nccl");
  options.size = 1;
  EXPECT_EQ(resolve_backend(options), "self");
  options.backend = "threads";
  EXPECT_EQ(resolve_backend(options), "threads");
}

TEST(MakeCollective, NamesWhatIsWrong) {
  std::string message;
  EXPECT_EQ(code_of([] { make_collective(options_of("glo", 2)); }, &message), ErrorCode::InvalidArgument);
  EXPECT_THAT(message, ::testing::HasSubstr("did you mean 'gloo'"));
  EXPECT_EQ(code_of([] { make_collective(options_of("self", 2)); }, &message), ErrorCode::InvalidArgument);
  EXPECT_THAT(message, ::testing::HasSubstr("world of one"));
  GroupOptions beyond = options_of("threads", 2);
  beyond.rank = 2;
  EXPECT_EQ(code_of([&] { make_collective(beyond); }, &message), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { make_collective(options_of("threads", 2)); }, &message), ErrorCode::InvalidArgument);
  EXPECT_THAT(message, ::testing::HasSubstr("needs a store"));
}

TEST(MakeCollective, BackendsThatCannotRunSayWhy) {
  for (const BackendStatus& status : backend_statuses()) {
    if (status.why_not.empty()) continue;
    std::string message;
    GroupOptions options = options_of(status.name, 1);
    EXPECT_EQ(code_of([&] { make_collective(options); }, &message), ErrorCode::Unsupported) << status.name;
    EXPECT_THAT(message, ::testing::HasSubstr(status.why_not));
  }
}

TEST(RunRanksAsThreads, RethrowsTheFirstFailureAndNotItsConsequences) {
  std::string message;
  const auto body = [](Collective& group) {
    if (group.rank() == 2) fail(ErrorCode::Corrupt, "the cause");
    group.barrier(soon());
  };
  EXPECT_EQ(code_of([&] { run_ranks_as_threads(4, body); }, &message), ErrorCode::Corrupt);
  EXPECT_THAT(message, ::testing::HasSubstr("the cause"));
}

TEST(Threads, DifferentCallsAreNamed) {
  std::string message;
  const auto body = [](Collective& group) {
    Values values(DType::f32, group.rank() == 0 ? 4 : 5);
    group.all_reduce(values.view(), ReduceOp::sum, {}, soon());
  };
  EXPECT_EQ(code_of([&] { run_ranks_as_threads(2, body); }, &message), ErrorCode::InvalidArgument);
  EXPECT_THAT(message, ::testing::HasSubstr("20 bytes of f32"));
  EXPECT_THAT(message, ::testing::HasSubstr("16 bytes of f32"));
}

/// A rank may break the world before those of another group have come for theirs.
TEST(Threads, AGroupMadeInABrokenWorldIsBroken) {
  for (int round = 0; round < 300 && !::testing::Test::HasFailure(); ++round) {
    run_ranks_as_threads(3, [](Collective& group) {
      const std::unique_ptr<Collective> part = group.split(group.rank() / 2, soon());
      if (group.rank() == 2) return group.abort();
      std::string message;
      EXPECT_EQ(code_of([&] {
        while (true) part->barrier(Deadline::after(std::chrono::seconds(5)));
      }, &message), ErrorCode::PeerLost) << message;
    });
  }
}

TEST(Threads, MessagesBetweenTwoNeedNoThird) {
  run_ranks_as_threads(3, [](Collective& group) {
    Values value(DType::i32, 1);
    const int rank = group.rank();
    if (rank == 0) return;
    for (int round = 0; round < 50; ++round) {
      value.set(0, round);
      if (rank == 1) group.send_recv(value.view(), 2, {}, -1, {}, soon());
      if (rank == 2) group.send_recv({}, -1, value.view(), 1, {}, soon());
      EXPECT_EQ(value.at(0), round);
    }
  });
}

/// Ranks of a message group over counting queues.
void on_queues(int ranks, QueueCounts& counts, const std::function<void(Collective&)>& body) {
  std::vector<std::unique_ptr<Transport>> transports = make_queue_transports(ranks, &counts);
  std::vector<std::thread> threads;
  for (auto& transport : transports) {
    threads.emplace_back([&body, transport = std::move(transport)]() mutable { body(*make_message_collective(std::move(transport))); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(MessageCollective, AllReduceSendsTheBytesThatWerePredicted) {
  for (const int ranks : {1, 2, 3, 5, 7, 17}) {
    for (const DType dtype : {DType::u8, DType::bf16, DType::f64}) {
      for (const std::int64_t count : {0, 1, 3, 100, 9'999, 65'536, 262'145}) {
        if (ranks == 17 && count > 10'000) continue;
        QueueCounts counts;
        std::vector<std::int64_t> predicted(static_cast<std::size_t>(ranks));
        on_queues(ranks, counts, [&](Collective& group) {
          Values values(dtype, count);
          values.fill([&](std::int64_t i) { return static_cast<double>((group.rank() + i) % 2); });
          predicted[static_cast<std::size_t>(group.rank())] = group.all_reduce_bytes_sent(values.view().bytes());
          group.all_reduce(values.view(), ReduceOp::sum, {}, soon());
          const auto ones = [&](std::int64_t i) {
            return static_cast<double>(ranks / 2 + (ranks % 2 != 0 && i % 2 != 0 ? 1 : 0));
          };
          EXPECT_EQ(values.first_wrong(ones), -1) << ranks << " ranks, " << count << " " << dtype_name(dtype);
        });
        EXPECT_EQ(counts.bytes_sent, predicted) << ranks << " ranks, " << count << " " << dtype_name(dtype);
      }
    }
  }
}

TEST(MessageCollective, BroadcastSendsTheBytesThatWerePredicted) {
  for (const int ranks : {1, 2, 3, 5, 8, 17}) {
    for (const std::int64_t count : {0, 1, 16'384, 16'385, 300'000}) {
      for (const int root : {0, ranks / 2, ranks - 1}) {
        QueueCounts counts;
        std::vector<std::int64_t> predicted(static_cast<std::size_t>(ranks));
        on_queues(ranks, counts, [&](Collective& group) {
          Values values(DType::f32, count);
          if (group.rank() == root) values.fill([](std::int64_t i) { return static_cast<double>(i % 1000); });
          predicted[static_cast<std::size_t>(group.rank())] = group.broadcast_bytes_sent(values.view().bytes(), root);
          group.broadcast(values.view(), root, {}, soon());
          EXPECT_EQ(values.first_wrong([](std::int64_t i) { return static_cast<double>(i % 1000); }), -1) << ranks << " ranks, " << count << " from " << root;
        });
        EXPECT_EQ(counts.bytes_sent, predicted) << ranks << " ranks, " << count << " from " << root;
        EXPECT_EQ(std::accumulate(predicted.begin(), predicted.end(), std::int64_t{0}), 4 * count * (ranks - 1));
      }
    }
  }
}

TEST(MessageCollective, LargeAllReduceIsTheRing) {
  constexpr std::int64_t kCount = 4 << 20;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    QueueCounts counts;
    on_queues(4, counts, [&](Collective& group) {
      Values values(dtype, kCount);
      group.all_reduce(values.view(), ReduceOp::sum, {}, soon());
    });
    for (const std::int64_t sent : counts.bytes_sent) EXPECT_EQ(sent, 2 * 3 * kCount * static_cast<std::int64_t>(size_of(dtype)) / 4);
  }
}

TEST(MessageCollective, AControlWordIsOneMessageToEachPeer) {
  QueueCounts counts;
  on_queues(4, counts, [&](Collective& group) {
    Values values(DType::i64, 4);
    group.all_reduce(values.view(), ReduceOp::max, {}, soon());
  });
  for (const std::int64_t messages : counts.messages_sent) EXPECT_EQ(messages, 3);
}

}  // namespace
}  // namespace panther::comm::testing
