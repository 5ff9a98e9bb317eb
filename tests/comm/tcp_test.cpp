// What only the tcp backend has: who may join, messages of the wrong length, interfaces by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <sstream>
#include <thread>

#include "comm/group.h"
#include "comm/rendezvous/socket.h"
#include "core/error.h"
#include "tests/comm/coded_values.h"

namespace panther::comm::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

GroupOptions rank_of_two(const std::shared_ptr<Store>& store, int rank, milliseconds timeout = std::chrono::seconds(20)) {
  GroupOptions options;
  options.backend = "tcp";
  options.rank = options.local_rank = rank;
  options.size = options.local_size = 2;
  options.store = store;
  options.timeout = timeout;
  return options;
}

Deadline soon() { return Deadline::after(std::chrono::seconds(20)); }

struct Caught {
  ErrorCode code = ErrorCode::Internal;
  std::string message = "nothing was thrown";
};

Caught caught(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

/// "host port nonce" of rank 0.
std::string listener_of_rank_0(Store& store) { return store.wait("tcp/0", soon()); }

void expect_sum(Collective& group) {
  Values values(DType::f64, 1000);
  values.fill([&](std::int64_t i) { return coded(group.rank(), i); });
  group.all_reduce(values.view(), ReduceOp::sum, {}, soon());
  EXPECT_EQ(values.first_wrong([](std::int64_t i) { return coded_sum(2, i); }), -1);
}

TEST(Tcp, StrangersAtThePortAreHungUpOnAndHoldUpNobody) {
  const auto store = make_memory_store();
  auto rank_0 = std::async(std::launch::async, [&] { expect_sum(*make_collective(rank_of_two(store, 0))); });
  std::string host;
  int port = 0;
  std::istringstream(listener_of_rank_0(*store)) >> host >> port;
  const tcp::Socket silent = tcp::connect_to("rank 0", host, port, soon());
  const tcp::Socket noisy = tcp::connect_to("rank 0", host, port, soon());
  ASSERT_TRUE(tcp::send_all(noisy, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", soon()));
  std::string answer;
  EXPECT_FALSE(tcp::receive_some(noisy, answer, soon()));
  EXPECT_EQ(errno, ECONNRESET);
  expect_sum(*make_collective(rank_of_two(store, 1)));
  rank_0.get();
}

TEST(Tcp, AnotherServiceWhereARankShouldListenIsNamed) {
  int port = 0;
  const tcp::Socket other = tcp::listen_on("127.0.0.1", port);
  const auto store = make_memory_store();
  store->set("tcp/0", concat("127.0.0.1 ", port, " 1"));
  auto service = std::async(std::launch::async, [&] {
    tcp::Socket connection;
    while (!connection.open()) connection = tcp::accept_from(other);
    std::string bytes;
    while (bytes.size() < 24) {
      if (!tcp::receive_some(connection, bytes, soon())) return;
    }
    tcp::send_all(connection, std::string(24, 'x'), soon());
  });
  const Caught error = caught([&] { make_collective(rank_of_two(store, 1)); });
  service.get();
  EXPECT_EQ(error.code, ErrorCode::PeerLost);
  EXPECT_THAT(error.message, HasSubstr("something else answers where rank 0 listens"));
  EXPECT_THAT(error.message, HasSubstr("comm.interface_address"));
}

TEST(Tcp, WhoIsMissingIsNamed) {
  const auto store = make_memory_store();
  const Caught error = caught([&] { make_collective(rank_of_two(store, 0, milliseconds(100))); });
  EXPECT_EQ(error.code, ErrorCode::Timeout);
  EXPECT_THAT(error.message, HasSubstr("for the call of rank 1"));
}

TEST(Tcp, RanksOutOfStepAreNamedInsteadOfMixingMessages) {
  const auto store = make_memory_store();
  const auto rank = [&](int self, std::int64_t elements) {
    return caught([&, self, elements] {
      const auto group = make_collective(rank_of_two(store, self));
      Values values(DType::f32, elements);
      group->all_reduce(values.view(), ReduceOp::sum, {}, soon());
    });
  };
  auto other = std::async(std::launch::async, rank, 1, 100);
  const Caught error = rank(0, 200);
  other.get();
  EXPECT_EQ(error.code, ErrorCode::Internal);
  EXPECT_THAT(error.message, HasSubstr("rank 1 sent 400 bytes where 800 were expected"));
}

TEST(Tcp, AbortEndsAWaitAtOnce) {
  const auto store = make_memory_store();
  std::promise<void> done;
  auto other = std::async(std::launch::async, [&] {
    const auto group = make_collective(rank_of_two(store, 1));
    done.get_future().wait();
  });
  const auto group = make_collective(rank_of_two(store, 0));
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(50));
    group->abort();
  });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(caught([&] { group->barrier(soon()); }).code, ErrorCode::PeerLost);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  later.join();
  done.set_value();
  other.get();
}

/// More than any socket holds, both ways at once: neither waits for the other to read first.
TEST(Tcp, BothSidesSendMoreThanSocketsHold) {
  const auto store = make_memory_store();
  const auto rank = [&](int self) {
    const auto group = make_collective(rank_of_two(store, self));
    Values mine(DType::f32, 16 << 20), theirs(DType::f32, 16 << 20);
    mine.fill([&](std::int64_t i) { return coded(self, i); });
    group->send_recv(mine.view(), 1 - self, theirs.view(), 1 - self, {}, soon());
    EXPECT_EQ(theirs.first_wrong([&](std::int64_t i) { return coded(1 - self, i); }), -1);
  };
  auto other = std::async(std::launch::async, rank, 1);
  rank(0);
  other.get();
}

TEST(Tcp, AnInterfaceIsTakenByName) {
  const auto store = make_memory_store();
  const auto rank = [&](int self) {
    GroupOptions options = rank_of_two(store, self);
    options.interface_address = "lo";
    expect_sum(*make_collective(options));
  };
  auto other = std::async(std::launch::async, rank, 1);
  rank(0);
  other.get();
  EXPECT_THAT(listener_of_rank_0(*store), ::testing::StartsWith("127.0.0.1 "));
}

}  // namespace
}  // namespace panther::comm::testing
