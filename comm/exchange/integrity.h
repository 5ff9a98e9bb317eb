#pragma once
// Checked mode: what was reduced is what was sent, the same on every rank, and holds every rank once.
//
// A checksum of what goes into a sum says nothing about what comes out, so three things are compared for every message:
//   count     each rank adds 1 to an element of its own: 0 means it is missing, 2 that it was added twice (only seen in the part of
//             the message where the elements lie).
//   CRC-32C   of the reduced wire, gathered from all ranks: ranks that ended with other bits than the majority are named.
//   linearity the sum of the reduced elements equals the sum over ranks of the sums of what they sent, up to rounding; sees what
//             all ranks share, beyond the rounding of the whole message: p u sum |x| with u = 2^-24 in f32; coarse on two-byte
//             wires (2^-8 sum |x| in bf16), where a wrong exponent is seen and a wrong fraction is not.
// One gather per step carries all of it, and the verdict is a function of the gathered table: all ranks reach the same.
// With two levels every group judges its own: the sum of a node (linear and equal bits inside it), the codec's messages among leaders (as with one
// level); and among all ranks what counts in the end: the same bits everywhere, and every rank once.
// Messages with nan or inf are not judged: the control word speaks of them. Costs two passes over the wire and, on a device, copies
// to the host; for debugging and for suspect machines.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/exchange/lane.h"

namespace panther::comm {

/// What one rank knows of one message: one collective of one bucket.
struct MessageRecord {
  static constexpr std::size_t kIntegers = 7;

  std::int64_t crc = 0;            ///< of the reduced wire
  double sent = 0;                 ///< sum of what this rank contributed
  double sent_absolute = 0;        ///< sum of its absolute values
  double received = 0;             ///< sum of what came
  std::int64_t first_wrong = -1;   ///< rank not counted once, -1 when none
  double tolerance = 0;            ///< allowed error of `received`, relative to the sum over ranks of sent_absolute,
  double slack = 0;                ///< and absolute, for results too small for full precision
};

/// "" when the message is whole; else what is wrong. `by_rank[r]` is the record of `members[r]`, the rank people know; of rank r where empty.
std::string judge_message(std::span<const MessageRecord> by_rank, std::span<const int> members = {});

class Integrity {
 public:
  /// A message for each of `buckets` (-1: the control word's). `members`: the job's ranks by rank of the collective, where it is not all of them; `where`
  /// says so in messages.
  Integrity(Collective& collective, Lane& lane, std::vector<std::int64_t> buckets, std::vector<int> members = {}, std::string where = {});

  /// Around the collective of message `index`; `tail` elements at the end are not gradients; `linear`: what comes is a
  /// sum (or a gather) of what was sent.
  void sending(std::size_t index, const TensorView& wire, std::int64_t tail, bool linear);
  /// Instead of sending(), for a message that shall be the same everywhere, whatever was sent.
  void expect_equal(std::size_t index);
  void received(std::size_t index, const TensorView& wire, std::int64_t tail);
  void counted(std::size_t index, int first_wrong);
  /// "" when all messages are whole; else the bucket and, where it can be told, the rank. The same on all ranks.
  std::string verdict(Deadline deadline);
  std::int64_t bytes_sent() const noexcept;

 private:
  Collective& collective_;
  Lane& lane_;
  std::vector<std::int64_t> buckets_;
  std::vector<int> members_;
  std::string where_;
  std::vector<MessageRecord> records_;
};

}  // namespace panther::comm
