#include "comm/exchange/integrity.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "comm/gather_integers.h"
#include "core/crc32c.h"
#include "core/error.h"
#include "core/text.h"
#include "kernels/element/half.h"

namespace panther::comm {
namespace {

struct Sums {
  double sum = 0;
  double absolute = 0;
};

template <class T, class Read>
Sums sums_of(const void* data, std::int64_t count, Read read) {
  Sums sums;
  for (std::int64_t i = 0; i < count; ++i) {
    const double value = read(static_cast<const T*>(data)[i]);
    sums.sum += value;
    sums.absolute += std::abs(value);
  }
  return sums;
}

Sums sums_of(const void* data, DType dtype, std::int64_t count) {
  const auto half = [](auto value) { return static_cast<double>(to_float(value)); };
  const auto plain = [](auto value) { return static_cast<double>(value); };
  switch (dtype) {
    case DType::f64: return sums_of<double>(data, count, plain);
    case DType::f32: return sums_of<float>(data, count, plain);
    case DType::bf16: return sums_of<Bf16>(data, count, half);
    case DType::f16: return sums_of<F16>(data, count, half);
    case DType::i64: return sums_of<std::int64_t>(data, count, plain);
    case DType::i32: return sums_of<std::int32_t>(data, count, plain);
    case DType::u8: return sums_of<std::uint8_t>(data, count, plain);
  }
  return {};
}

double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::f32: return 0x1p-24;
    case DType::bf16: return 0x1p-8;
    case DType::f16: return 0x1p-11;
    case DType::f64: case DType::i64: case DType::i32: case DType::u8: return 0x1p-53;
  }
  return 0;
}

/// What one element can lose where its dtype runs out of exponents (some processors flush to zero there).
double smallest_normal_error(DType dtype) {
  switch (dtype) {
    case DType::f32: case DType::bf16: return 0x1p-126;
    case DType::f16: return 0x1p-25;
    case DType::f64: return 0x1p-1022;
    case DType::i64: case DType::i32: case DType::u8: return 0;
  }
  return 0;
}

std::int64_t name_of(std::size_t rank, std::span<const int> members) { return members.empty() ? static_cast<std::int64_t>(rank) : members[rank]; }

std::string other_crc(std::span<const MessageRecord> by_rank, std::span<const int> members) {
  std::map<std::int64_t, int> votes;
  for (const MessageRecord& record : by_rank) ++votes[record.crc];
  if (votes.size() == 1) return {};
  const auto most = std::max_element(by_rank.begin(), by_rank.end(),
                                     [&](const auto& a, const auto& b) { return votes[a.crc] < votes[b.crc]; });
  std::vector<std::int64_t> wrong;
  std::int64_t example = 0;
  for (std::size_t rank = 0; rank < by_rank.size(); ++rank) {
    if (by_rank[rank].crc == most->crc) continue;
    if (wrong.empty()) example = by_rank[rank].crc;
    wrong.push_back(name_of(rank, members));
  }
  const bool decided = 2 * wrong.size() < by_rank.size();
  return concat(wrong.size() == 1 ? "rank " : "ranks ", join(wrong), " ended with other bits than rank ",
                name_of(static_cast<std::size_t>(most - by_rank.begin()), members), " (CRC-32C ", example, " against ", most->crc, ")",
                decided ? "" : "; no majority says which side is damaged");
}

}  // namespace

std::string judge_message(std::span<const MessageRecord> by_rank, std::span<const int> members) {
  for (const MessageRecord& record : by_rank) {
    if (!std::isfinite(record.sent_absolute) || !std::isfinite(record.received)) return {};
  }
  for (std::size_t rank = 0; rank < by_rank.size(); ++rank) {
    const std::int64_t wrong = by_rank[rank].first_wrong;
    if (wrong >= 0) return concat("the contribution of rank ", wrong, " was not counted once (seen by rank ", name_of(rank, members), ")");
  }
  if (std::string crc = other_crc(by_rank, members); !crc.empty()) return crc;
  double expected = 0;
  double absolute = 0;
  for (const MessageRecord& record : by_rank) {
    expected += record.sent;
    absolute += record.sent_absolute;
  }
  const double allowed = by_rank[0].tolerance * absolute + by_rank[0].slack;
  if (std::abs(by_rank[0].received - expected) <= allowed) return {};
  return concat("the elements received sum to ", by_rank[0].received, ", those sent by all ranks to ", expected, " (rounding explains ", allowed,
                "); all ranks hold the same damaged sum");
}

Integrity::Integrity(Collective& collective, Lane& lane, std::vector<std::int64_t> buckets, std::vector<int> members, std::string where)
    : collective_(collective), lane_(lane), buckets_(std::move(buckets)), members_(std::move(members)), where_(std::move(where)), records_(buckets_.size()) {}

void Integrity::sending(std::size_t index, const TensorView& wire, std::int64_t tail, bool linear) {
  const Sums sums = sums_of(lane_.read(wire), wire.dtype, wire.numel() - tail);
  const double count = static_cast<double>(wire.numel());
  records_[index] = {};
  records_[index].sent = sums.sum;
  records_[index].sent_absolute = sums.absolute;
  // p - 1 roundings of partial sums (in f32 and then one for 16 bits), and those of adding up in f64 here.
  const bool two_bytes = size_of(wire.dtype) == 2;
  const double partial_sums = collective_.size() * unit_roundoff(two_bytes ? DType::f32 : wire.dtype);
  records_[index].tolerance = 1.01 * (partial_sums + (two_bytes ? unit_roundoff(wire.dtype) : 0.0)) + 4 * count * 0x1p-53;
  records_[index].slack = count * collective_.size() * smallest_normal_error(wire.dtype);
  if (!linear) records_[index].slack = std::numeric_limits<double>::infinity();
}

void Integrity::expect_equal(std::size_t index) {
  records_[index] = {};
  records_[index].slack = std::numeric_limits<double>::infinity();
}

void Integrity::received(std::size_t index, const TensorView& wire, std::int64_t tail) {
  const void* data = lane_.read(wire);
  records_[index].crc = crc32c({static_cast<const std::byte*>(data), static_cast<std::size_t>(wire.bytes())});
  records_[index].received = sums_of(data, wire.dtype, wire.numel() - tail).sum;
}

void Integrity::counted(std::size_t index, int first_wrong) { records_[index].first_wrong = first_wrong; }

std::int64_t Integrity::bytes_sent() const noexcept {
  const auto integers = static_cast<std::int64_t>(records_.size() * MessageRecord::kIntegers);
  return integers * 8 * (collective_.size() - 1);
}

std::string Integrity::verdict(Deadline deadline) {
  std::vector<std::int64_t> mine;
  for (const MessageRecord& record : records_) {
    for (const std::int64_t value : {record.crc, std::bit_cast<std::int64_t>(record.sent), std::bit_cast<std::int64_t>(record.sent_absolute),
                                     std::bit_cast<std::int64_t>(record.received), record.first_wrong,
                                     std::bit_cast<std::int64_t>(record.tolerance), std::bit_cast<std::int64_t>(record.slack)}) {
      mine.push_back(value);
    }
  }
  const std::vector<std::int64_t> table = gather_integers(collective_, mine, lane_.stream(), deadline);
  for (std::size_t i = 0; i < records_.size(); ++i) {
    std::vector<MessageRecord> by_rank;
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(collective_.size()); ++rank) {
      const std::int64_t* at = table.data() + rank * mine.size() + i * MessageRecord::kIntegers;
      by_rank.push_back({at[0], std::bit_cast<double>(at[1]), std::bit_cast<double>(at[2]), std::bit_cast<double>(at[3]), at[4],
                         std::bit_cast<double>(at[5]), std::bit_cast<double>(at[6])});
    }
    const std::string wrong = judge_message(by_rank, members_);
    if (wrong.empty()) continue;
    const std::string name = buckets_[i] < 0 ? "the control message" : concat("bucket ", buckets_[i]);
    const bool counts = std::any_of(by_rank.begin(), by_rank.end(), [](const MessageRecord& record) { return record.first_wrong >= 0; });
    return concat(name, " of the gradient exchange is damaged", counts ? "" : where_, ": ", wrong,
                  ". Check the memory and network of the ranks named; training can resume from the last checkpoint");
  }
  return {};
}

}  // namespace panther::comm
