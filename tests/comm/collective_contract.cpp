#include "tests/comm/collective_contract.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "core/error.h"
#include "core/text.h"
#include "tests/comm/coded_values.h"

namespace panther::comm::testing {
namespace {

Deadline soon() { return Deadline::after(std::chrono::seconds(30)); }

/// Empty, one element, odd, and around the sizes where algorithms and segments change.
constexpr std::int64_t kSizes[] = {0, 1, 7, 1001, 40'003, 300'001};

std::string what(Collective& group, DType dtype, std::int64_t count) {
  return concat(group.backend(), " rank ", group.rank(), " of ", group.size(), ", ", count, " ", dtype_name(dtype));
}

/// Keeps a full sweep short.
bool worth_it(DType dtype, std::int64_t count) { return count < 10'000 || dtype == DType::f32 || (dtype == DType::bf16 && count < 100'000); }

template <class Body>
void over_dtypes_and_sizes(const Body& body) {
  for (const DType dtype : kAllDTypes) {
    for (const std::int64_t count : kSizes) {
      if (worth_it(dtype, count)) body(dtype, count);
    }
  }
}

std::uint64_t hash_of(const std::vector<std::byte>& bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const std::byte byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3ull;
  return hash;
}

template <class Body>
void expect_invalid(const Body& body, const char* which) {
  try {
    body();
    ADD_FAILURE() << which << " was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument) << which << ": " << error.what();
  }
}

}  // namespace

void check_facts(Collective& group, int ranks) {
  EXPECT_EQ(group.size(), ranks);
  EXPECT_GE(group.rank(), 0);
  EXPECT_LT(group.rank(), ranks);
  EXPECT_EQ(group.device(), DeviceKind::cpu);
  EXPECT_EQ(group.all_reduce_bytes_sent(0), 0);
  const double bytes = 64.0 * 1024 * 1024;
  EXPECT_NEAR(static_cast<double>(group.all_reduce_bytes_sent(static_cast<std::int64_t>(bytes))), 2 * bytes * (ranks - 1) / ranks, 256)
      << "the ring's formula";
}

void check_all_reduce_sum(Collective& group) {
  over_dtypes_and_sizes([&](DType dtype, std::int64_t count) {
    Values values(dtype, count);
    values.fill([&](std::int64_t i) { return coded(group.rank(), i); });
    group.all_reduce(values.view(), ReduceOp::sum, {}, soon()).wait(soon());
    EXPECT_EQ(values.first_wrong([&](std::int64_t i) { return coded_sum(group.size(), i); }), -1) << what(group, dtype, count);
  });
}

void check_all_reduce_extremes(Collective& group) {
  for (const ReduceOp op : {ReduceOp::min, ReduceOp::max}) {
    over_dtypes_and_sizes([&](DType dtype, std::int64_t count) {
      Values values(dtype, count);
      values.fill([&](std::int64_t i) { return scrambled(group.rank(), i); });
      group.all_reduce(values.view(), op, {}, soon()).wait(soon());
      const auto expected = [&](std::int64_t i) {
        double best = scrambled(0, i);
        for (int rank = 1; rank < group.size(); ++rank) {
          best = op == ReduceOp::min ? std::min(best, scrambled(rank, i)) : std::max(best, scrambled(rank, i));
        }
        return best;
      };
      EXPECT_EQ(values.first_wrong(expected), -1) << what(group, dtype, count);
    });
  }
}

void check_all_reduce_large(Collective& group) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Values values(dtype, (1 << 20) + 3);
    values.fill([&](std::int64_t i) { return coded(group.rank(), i); });
    group.all_reduce(values.view(), ReduceOp::sum, {}, soon()).wait(soon());
    EXPECT_EQ(values.first_wrong([&](std::int64_t i) { return coded_sum(group.size(), i); }), -1) << what(group, dtype, values.count());
  }
}

void check_one_rounding(Collective& group) {
  // The first integers that these types cannot hold: adding ones to 2^8 (bf16) or 2^11 (f16) one by one changes nothing.
  for (const auto& [dtype, big] : {std::pair{DType::bf16, 256.0f}, std::pair{DType::f16, 2048.0f}}) {
    const float sum = big + static_cast<float>(group.size() - 1);
    const double expected = dtype == DType::bf16 ? to_float(to_bf16(sum)) : to_float(to_f16(sum));
    for (const std::int64_t count : {std::int64_t{5}, std::int64_t{200'001}}) {
      Values values(dtype, count);
      values.fill([&](std::int64_t) { return group.rank() == 0 ? big : 1.0f; });
      group.all_reduce(values.view(), ReduceOp::sum, {}, soon()).wait(soon());
      EXPECT_EQ(values.first_wrong([&](std::int64_t) { return expected; }), -1) << what(group, dtype, count);
    }
    Values input(dtype, 3 * group.size());
    Values output(dtype, 3);
    input.fill([&](std::int64_t) { return group.rank() == 0 ? big : 1.0f; });
    group.reduce_scatter(input.view(), output.view(), ReduceOp::sum, {}, soon()).wait(soon());
    EXPECT_EQ(output.first_wrong([&](std::int64_t) { return expected; }), -1) << what(group, dtype, 3);
  }
}

void check_same_bits(Collective& group) {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    for (const std::int64_t count : {std::int64_t{333}, std::int64_t{150'001}}) {
      std::vector<std::uint64_t> hashes;
      for (int run = 0; run < 2; ++run) {
        Values values(dtype, count);
        // Irrational steps: every addition rounds.
        values.fill([&](std::int64_t i) { return std::sin(0.37 * static_cast<double>(i) + 1.7 * group.rank()) * std::pow(10.0, group.rank() % 4); });
        group.all_reduce(values.view(), ReduceOp::sum, {}, soon()).wait(soon());
        hashes.push_back(hash_of(values.bytes()));
      }
      EXPECT_EQ(hashes[0], hashes[1]) << what(group, dtype, count) << ": two runs";
      std::vector<std::uint64_t> all(static_cast<std::size_t>(group.size()));
      const TensorView mine(hashes.data(), DType::i64, {1});
      group.all_gather(mine, TensorView(all.data(), DType::i64, {group.size()}), {}, soon()).wait(soon());
      for (const std::uint64_t other : all) EXPECT_EQ(other, hashes[0]) << what(group, dtype, count) << ": ranks differ";
    }
  }
}

void check_extremes_of_nan(Collective& group) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    for (const ReduceOp op : {ReduceOp::min, ReduceOp::max}) {
      for (int poisoned = 0; poisoned < group.size(); ++poisoned) {
        Values values(dtype, 2);
        values.fill([&](std::int64_t i) {
          return i == 0 && group.rank() == poisoned ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(group.rank());
        });
        group.all_reduce(values.view(), op, {}, soon()).wait(soon());
        EXPECT_TRUE(std::isnan(values.at(0))) << what(group, dtype, 2) << ", nan on rank " << poisoned;
        EXPECT_EQ(values.at(1), op == ReduceOp::min ? 0 : group.size() - 1);
      }
    }
  }
}

void check_all_gather(Collective& group) {
  over_dtypes_and_sizes([&](DType dtype, std::int64_t count) {
    const auto expected = [&](std::int64_t i) { return coded(static_cast<int>(i / count), i % count); };
    Values input(dtype, count);
    Values output(dtype, count * group.size());
    input.fill([&](std::int64_t i) { return coded(group.rank(), i); });
    group.all_gather(input.view(), output.view(), {}, soon()).wait(soon());
    EXPECT_EQ(output.first_wrong(expected), -1) << what(group, dtype, count);
    Values in_place(dtype, count * group.size());
    for (std::int64_t i = 0; i < count; ++i) in_place.set(group.rank() * count + i, coded(group.rank(), i));
    group.all_gather(in_place.part(group.rank() * count, count), in_place.view(), {}, soon()).wait(soon());
    EXPECT_EQ(in_place.first_wrong(expected), -1) << what(group, dtype, count) << " in place";
  });
}

void check_reduce_scatter(Collective& group) {
  const int rank = group.rank();
  const auto value = [](int r, std::int64_t i) { return static_cast<double>((r + 1) * (i % 8 + 1)); };
  over_dtypes_and_sizes([&](DType dtype, std::int64_t count) {
    Values input(dtype, count * group.size());
    Values output(dtype, count);
    input.fill([&](std::int64_t i) { return value(rank, i); });
    const std::vector<std::byte> before = input.bytes();
    group.reduce_scatter(input.view(), output.view(), ReduceOp::sum, {}, soon()).wait(soon());
    const auto summed = [&](std::int64_t i) { return value(0, rank * count + i) * group.size() * (group.size() + 1) / 2; };
    EXPECT_EQ(output.first_wrong(summed), -1) << what(group, dtype, count);
    EXPECT_EQ(input.bytes(), before) << "the input is only read";
    group.reduce_scatter(input.view(), input.part(rank * count, count), ReduceOp::max, {}, soon()).wait(soon());
    const auto largest = [&](std::int64_t i) { return i / count == rank ? value(group.size() - 1, i) : value(rank, i); };
    EXPECT_EQ(input.first_wrong(largest), -1) << what(group, dtype, count) << " in place";
  });
}

void check_broadcast(Collective& group) {
  for (int root = 0; root < group.size(); ++root) {
    over_dtypes_and_sizes([&](DType dtype, std::int64_t count) {
      if (root > 0 && count > 10'000 && dtype != DType::f32) return;
      Values values(dtype, count);
      values.fill([&](std::int64_t i) { return group.rank() == root ? coded(root, i) : 0.0; });
      group.broadcast(values.view(), root, {}, soon()).wait(soon());
      EXPECT_EQ(values.first_wrong([&](std::int64_t i) { return coded(root, i); }), -1) << what(group, dtype, count) << " from " << root;
    });
  }
}

void check_all_to_all(Collective& group) {
  over_dtypes_and_sizes([&](DType dtype, std::int64_t count) {
    const auto value = [&](int from, int to, std::int64_t i) { return static_cast<double>((from * 31 + to * 7 + i) % 251); };
    Values input(dtype, count * group.size());
    Values output(dtype, count * group.size());
    input.fill([&](std::int64_t i) { return value(group.rank(), static_cast<int>(i / count), i % count); });
    group.all_to_all(input.view(), output.view(), {}, soon()).wait(soon());
    const auto expected = [&](std::int64_t i) { return value(static_cast<int>(i / count), group.rank(), i % count); };
    EXPECT_EQ(output.first_wrong(expected), -1) << what(group, dtype, count);
  });
}

void check_send_recv(Collective& group) {
  const int ranks = group.size();
  const int rank = group.rank();
  over_dtypes_and_sizes([&](DType dtype, std::int64_t count) {
    Values outgoing(dtype, count);
    Values incoming(dtype, count);
    outgoing.fill([&](std::int64_t i) { return coded(rank, i); });
    const int from = (rank + ranks - 1) % ranks;
    group.send_recv(outgoing.view(), (rank + 1) % ranks, incoming.view(), from, {}, soon()).wait(soon());
    EXPECT_EQ(incoming.first_wrong([&](std::int64_t i) { return coded(from, i); }), -1) << what(group, dtype, count);
  });
  // A chain: rank 0 only sends, the last one only receives.
  Values token(DType::i64, 1);
  Values received(DType::i64, 1);
  token.set(0, 100 + rank);
  group.send_recv(token.view(), rank + 1 < ranks ? rank + 1 : -1, received.view(), rank - 1, {}, soon()).wait(soon());
  EXPECT_EQ(received.at(0), rank == 0 ? 0 : 100 + rank - 1);
}

void check_barrier(Collective& group) {
  for (int last = 0; last < group.size(); ++last) {
    if (group.rank() == last) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto entered = std::chrono::steady_clock::now().time_since_epoch().count();
    group.barrier(soon());
    const auto left = std::chrono::steady_clock::now().time_since_epoch().count();
    std::int64_t latest = entered;
    group.all_reduce(TensorView(&latest, DType::i64, {1}), ReduceOp::max, {}, soon()).wait(soon());
    EXPECT_GE(left, latest) << "rank " << group.rank() << " left before rank " << last << " came";
  }
}

void check_arguments(Collective& group) {
  const int ranks = group.size();
  Values values(DType::f32, 6 * ranks);
  Values other(DType::f64, 6);
  const TensorView whole = values.view();
  TensorView strided(values.view().data, DType::f32, {3 * ranks});
  strided.strides[0] = 2;
  TensorView elsewhere = whole;
  elsewhere.device = {group.device() == DeviceKind::cpu ? DeviceKind::cuda : DeviceKind::cpu, 0};
  const TensorView null(nullptr, DType::f32, {4});
  expect_invalid([&] { group.all_reduce(strided, ReduceOp::sum, {}, soon()); }, "a strided buffer");
  expect_invalid([&] { group.all_reduce(elsewhere, ReduceOp::sum, {}, soon()); }, "a buffer of another device");
  expect_invalid([&] { group.all_reduce(null, ReduceOp::sum, {}, soon()); }, "a null buffer");
  expect_invalid([&] { group.all_gather(values.part(0, 5), whole, {}, soon()); }, "an all_gather of unequal sizes");
  expect_invalid([&] { group.all_gather(other.view(), whole, {}, soon()); }, "an all_gather of unequal dtypes");
  expect_invalid([&] { group.reduce_scatter(whole, values.part(0, 5), ReduceOp::sum, {}, soon()); }, "a reduce_scatter of unequal sizes");
  expect_invalid([&] { group.broadcast(whole, ranks, {}, soon()); }, "a root beyond the last rank");
  expect_invalid([&] { group.broadcast(whole, -1, {}, soon()); }, "a negative root");
  expect_invalid([&] { group.all_to_all(whole, whole, {}, soon()); }, "an all_to_all in place");
  expect_invalid([&] { group.send_recv(whole, ranks, whole, -1, {}, soon()); }, "a send beyond the last rank");
  expect_invalid([&] { group.send_recv(whole, -2, whole, -1, {}, soon()); }, "a send to rank -2");
  if (ranks > 1) {
    expect_invalid([&] { group.all_to_all(values.part(0, ranks + 1), values.part(ranks + 1, ranks + 1), {}, soon()); }, "uneven chunks");
    expect_invalid([&] { group.send_recv(whole, group.rank(), whole, -1, {}, soon()); }, "a message to oneself that nobody takes");
  }
  group.barrier(soon());
}

void check_many_in_a_row(Collective& group) {
  for (int round = 0; round < 200; ++round) {
    Values word(DType::i32, 4);
    word.fill([&](std::int64_t i) { return static_cast<double>(round + group.rank() * (i == 0)); });
    group.all_reduce(word.view(), ReduceOp::max, {}, soon()).wait(soon());
    ASSERT_EQ(word.at(0), round + group.size() - 1);
    ASSERT_EQ(word.at(3), round);
  }
}

void check_split(Collective& group) {
  const int rank = group.rank(), ranks = group.size();
  const std::unique_ptr<Collective> all = group.split(7, soon());
  ASSERT_NE(all, nullptr);
  EXPECT_EQ(all->rank(), rank);
  EXPECT_EQ(all->size(), ranks);
  const std::unique_ptr<Collective> parity = group.split(rank % 2, soon());
  ASSERT_NE(parity, nullptr);
  EXPECT_EQ(parity->rank(), rank / 2);
  EXPECT_EQ(parity->size(), (ranks + 1 - rank % 2) / 2);
  const std::unique_ptr<Collective> late = group.split(rank >= ranks / 2 ? 0 : -1, soon());
  EXPECT_EQ(late == nullptr, rank < ranks / 2);
  if (late != nullptr) {
    EXPECT_EQ(late->size(), ranks - ranks / 2);
  }
  for (Collective* part : {all.get(), parity.get(), late.get()}) {
    if (part == nullptr) continue;
    check_facts(*part, part->size());
    check_all_reduce_sum(*part);
    check_all_gather(*part);
    check_reduce_scatter(*part);
    check_broadcast(*part);
  }
  // As often as it is asked for, also when a group of the same ranks is gone.
  for (int round = 0; round < 3; ++round) {
    const std::unique_ptr<Collective> again = group.split(rank % 2, soon());
    ASSERT_NE(again, nullptr);
    check_all_reduce_sum(*again);
  }
  check_all_reduce_sum(group);
}

}  // namespace panther::comm::testing
