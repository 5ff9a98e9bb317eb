// One contract for every store: memory, file, tcp, and a prefix over each.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <thread>

#include "comm/rendezvous/store.h"
#include "core/error.h"
#include "core/scratch_folder.h"

namespace panther::comm {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

Deadline soon(int ms = 10000) { return Deadline::after(milliseconds(ms)); }

ErrorCode code_of(const std::function<void()>& body, std::string* message = nullptr) {
  try {
    body();
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.code();
  }
  ADD_FAILURE() << "no error was thrown";
  return ErrorCode::Internal;
}

/// One meeting place; every `client()` is a separate handle to it, as another rank would hold.
class Place {
 public:
  virtual ~Place() = default;
  virtual std::shared_ptr<Store> client() = 0;
};

class MemoryPlace final : public Place {
 public:
  std::shared_ptr<Store> client() override { return store_; }

 private:
  std::shared_ptr<Store> store_ = make_memory_store();
};

class FilePlace final : public Place {
 public:
  std::shared_ptr<Store> client() override { return open_store("file://" + folder_.path().string(), soon()); }

 private:
  ScratchFolder folder_;
};

class TcpPlace final : public Place {
 public:
  std::shared_ptr<Store> client() override { return open_store("tcp://127.0.0.1:" + std::to_string(server_.port()), soon()); }

 private:
  TcpStoreServer server_{0};
};

class PrefixPlace final : public Place {
 public:
  explicit PrefixPlace(std::unique_ptr<Place> inner) : inner_(std::move(inner)) {}
  std::shared_ptr<Store> client() override { return make_prefix_store(inner_->client(), "job/7/"); }

 private:
  std::unique_ptr<Place> inner_;
};

std::unique_ptr<Place> make_place(const std::string& name) {
  if (name == "memory") return std::make_unique<MemoryPlace>();
  if (name == "file") return std::make_unique<FilePlace>();
  if (name == "tcp") return std::make_unique<TcpPlace>();
  return std::make_unique<PrefixPlace>(make_place(name.substr(name.find('_') + 1)));
}

class StoreContract : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Place> place_ = make_place(GetParam());
};

TEST_P(StoreContract, ReturnsWhatWasSet) {
  const auto store = place_->client();
  EXPECT_EQ(store->get("absent"), std::nullopt);
  store->set("a", "1");
  store->set("a", "22");
  EXPECT_EQ(store->get("a"), "22");
  EXPECT_EQ(place_->client()->get("a"), "22") << "another client sees it";
  EXPECT_EQ(store->wait("a", soon()), "22");
}

TEST_P(StoreContract, TakesAnyBytes) {
  const auto store = place_->client();
  const std::string zeros("\0\n\xff\0", 4);
  const std::string large(100'000, 'x');
  store->set("empty", "");
  store->set("zeros", zeros);
  store->set("large", large);
  EXPECT_EQ(store->get("empty"), "");
  EXPECT_EQ(store->get("zeros"), zeros);
  EXPECT_EQ(store->get("large"), large);
}

TEST_P(StoreContract, KeepsKeysApart) {
  const auto store = place_->client();
  const std::vector<std::string> keys = {"a/b", "a_b", "a%2Fb", "a b", "A/B", ".", "..", "ä"};
  for (std::size_t i = 0; i < keys.size(); ++i) store->set(keys[i], std::to_string(i));
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(store->get(keys[i]), std::to_string(i)) << keys[i];
}

TEST_P(StoreContract, WaitEndsWhenSomebodySetsTheKey) {
  const auto store = place_->client();
  std::thread setter([&] {
    std::this_thread::sleep_for(milliseconds(30));
    place_->client()->set("late", "here");
  });
  EXPECT_EQ(store->wait("late", soon()), "here");
  setter.join();
}

TEST_P(StoreContract, AWaitHoldsUpNoOtherThread) {
  const auto store = place_->client();
  std::thread waiter([&] { EXPECT_EQ(store->wait("go", soon()), "now"); });
  std::this_thread::sleep_for(milliseconds(20));
  store->set("other", "1");
  EXPECT_EQ(store->get("other"), "1");
  store->set("go", "now");
  waiter.join();
}

TEST_P(StoreContract, WaitTimesOutAndTheStoreStaysUsable) {
  const auto store = place_->client();
  const auto begin = std::chrono::steady_clock::now();
  std::string message;
  EXPECT_EQ(code_of([&] { store->wait("never", soon(50)); }, &message), ErrorCode::Timeout);
  EXPECT_THAT(message, HasSubstr("never"));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(50));
  store->set("never", "after all");
  EXPECT_EQ(store->wait("never", soon()), "after all");
}

TEST_P(StoreContract, CompareAndSet) {
  const auto store = place_->client();
  EXPECT_EQ(store->compare_and_set("k", std::nullopt, "first"), "first");
  EXPECT_EQ(store->compare_and_set("k", std::nullopt, "second"), "first") << "it is there already";
  EXPECT_EQ(store->compare_and_set("k", "other", "second"), "first");
  EXPECT_EQ(store->compare_and_set("k", "first", "second"), "second");
  EXPECT_EQ(store->get("k"), "second");
  EXPECT_EQ(store->compare_and_set("absent", "something", "new"), "") << "absent stays absent";
  EXPECT_EQ(store->get("absent"), std::nullopt);
  store->set("blank", "");
  EXPECT_EQ(store->compare_and_set("blank", std::nullopt, "x"), "") << "an empty value is not an absent one";
  EXPECT_EQ(store->compare_and_set("blank", "", "x"), "x");
}

TEST_P(StoreContract, OneOfManyRacersWins) {
  constexpr int kThreads = 4;
  std::atomic<int> winners{0};
  std::vector<std::string> seen(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const std::string mine = "thread " + std::to_string(t);
      seen[t] = place_->client()->compare_and_set("leader", std::nullopt, mine);
      if (seen[t] == mine) ++winners;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(winners, 1);
  for (const std::string& value : seen) EXPECT_EQ(value, seen[0]);
}

TEST_P(StoreContract, CountingByCompareAndSetLosesNothing) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 50;
  place_->client()->set("count", "0");
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const auto store = place_->client();
      for (int done = 0; done < kRounds;) {
        const std::string old = store->get("count").value();
        const std::string next = std::to_string(std::stoi(old) + 1) + " ";
        // The thread's own mark tells its success from another's equal number.
        const std::string marked = next + std::to_string(reinterpret_cast<std::uintptr_t>(&done));
        if (store->compare_and_set("count", old, marked) == marked) ++done;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::stoi(place_->client()->get("count").value()), kThreads * kRounds);
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract, testing::Values("memory", "file", "tcp", "prefix_memory", "prefix_file", "prefix_tcp"),
                         [](const auto& instance) { return instance.param; });

TEST(PrefixStore, PutsThePrefixInFront) {
  const auto inner = make_memory_store();
  make_prefix_store(inner, "job/3/")->set("key", "v");
  EXPECT_EQ(inner->get("job/3/key"), "v");
  EXPECT_EQ(make_prefix_store(inner, "job/4/")->get("key"), std::nullopt);
}

TEST(OpenStore, NamesWhatIsWrongWithAUrl) {
  for (const char* url : {"http://a:1", "a:1", "tcp://a", "tcp://:1", "tcp://a:0", "tcp://a:70000", "tcp://a:12x", "file://relative", ""}) {
    std::string message;
    EXPECT_EQ(code_of([&] { open_store(url, soon(10)); }, &message), ErrorCode::InvalidArgument) << url;
    EXPECT_THAT(message, HasSubstr(url));
  }
}

TEST(FileStore, FolderThatCannotBeMadeIsIo) {
  EXPECT_EQ(code_of([] { make_file_store("/proc/no/such/folder"); }), ErrorCode::Io);
}

TEST(TcpStore, PortTakenNamesAddressPortAndRemedy) {
  const TcpStoreServer first(0);
  std::string message;
  EXPECT_EQ(code_of([&] { TcpStoreServer second(first.port()); }, &message), ErrorCode::Io);
  EXPECT_THAT(message, HasSubstr("127.0.0.1:" + std::to_string(first.port())));
  EXPECT_THAT(message, HasSubstr("choose another"));
}

TEST(TcpStore, NobodyListensIsIo) {
  int port = 0;
  {
    const TcpStoreServer gone(0);
    port = gone.port();
  }
  std::string message;
  EXPECT_EQ(code_of([&] { make_tcp_store("127.0.0.1", port, soon(50)); }, &message), ErrorCode::Io);
  EXPECT_THAT(message, HasSubstr("127.0.0.1:" + std::to_string(port)));
}

TEST(TcpStore, ClientConnectsToAServerThatStartsLater) {
  int port = 0;
  {
    const TcpStoreServer gone(0);
    port = gone.port();
  }
  std::unique_ptr<TcpStoreServer> server;
  std::thread late([&] {
    std::this_thread::sleep_for(milliseconds(50));
    server = std::make_unique<TcpStoreServer>(port);
  });
  const auto store = make_tcp_store("127.0.0.1", port, soon());
  late.join();
  store->set("a", "b");
  EXPECT_EQ(store->get("a"), "b");
}

TEST(TcpStore, AWaitEndsWithIoWhenTheServerGoes) {
  auto server = std::make_unique<TcpStoreServer>(0);
  const auto store = make_tcp_store("127.0.0.1", server->port(), soon());
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(30));
    server.reset();
  });
  EXPECT_EQ(code_of([&] { store->wait("never", soon()); }), ErrorCode::Io);
  stopper.join();
}

TEST(TcpStore, RefusesWhatIsTooLarge) {
  const TcpStoreServer server(0);
  const auto store = make_tcp_store("127.0.0.1", server.port(), soon());
  EXPECT_EQ(code_of([&] { store->set(std::string(5000, 'k'), ""); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { store->set("k", std::string((16u << 20) + 1, 'v')); }), ErrorCode::InvalidArgument);
  store->set("k", std::string(16u << 20, 'v'));
  EXPECT_EQ(store->get("k").value().size(), 16u << 20);
}

/// Sends raw bytes to the port and returns everything that comes back until the server closes.
std::string talk(int port, const std::string& bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  std::string answer;
  char piece[1024];
  for (ssize_t count = 0; (count = ::recv(fd, piece, sizeof(piece), 0)) > 0;) answer.append(piece, static_cast<std::size_t>(count));
  ::close(fd);
  return answer;
}

TEST(TcpStore, ForeignBytesAreRefusedAndOthersServed) {
  const TcpStoreServer server(0);
  const auto store = make_tcp_store("127.0.0.1", server.port(), soon());
  EXPECT_THAT(talk(server.port(), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), HasSubstr("does not speak"));
  std::string other_version("PSTR\x63\x00\x02\x00", 8);
  other_version.append(16, '\0');
  EXPECT_THAT(talk(server.port(), other_version), HasSubstr("version 99"));
  std::string long_key("PSTR\x01\x00\x02\x00\xff\xff\xff\x7f", 12);
  long_key.append(12, '\xff');
  EXPECT_THAT(talk(server.port(), long_key), HasSubstr("bytes"));
  store->set("still", "here");
  EXPECT_EQ(store->get("still"), "here");
}

}  // namespace
}  // namespace panther::comm
