// After a step with nan or inf: which gradient, and on which ranks.
#include "comm/exchange/sender.h"

#include <algorithm>
#include <cmath>

#include "comm/gather_integers.h"

namespace panther::comm {

std::string Sender::nonfinite_member(const Message& message) const {
  const Workspace memory(allocator_, sizeof(double), device(), lane_->stream());
  const TensorView sum(memory.data(), DType::f64, {}, device());
  for (const BucketMember& member : plan_.buckets[static_cast<std::size_t>(message.bucket)].members) {
    const TensorView gradient = message.memory.slice(member.offset, member.numel);
    kernels_.sum_of_squares(std::span(&gradient, 1), sum, lane_->stream());
    if (!std::isfinite(*static_cast<const double*>(lane_->read(sum)))) return member.name;
  }
  return {};
}

void Sender::add_suspects(std::vector<int>& ranks, Deadline deadline) {
  if (step_ >= locate_until_) return;
  const std::int64_t own[] = {own_nonfinite_ ? 1 : 0};
  const std::vector<std::int64_t> all = gather_integers(collective_, own, lane_->stream(), deadline);
  for (int rank = 0; rank < collective_.size(); ++rank) {
    const bool known = std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
    if (all[static_cast<std::size_t>(rank)] != 0 && !known) ranks.push_back(rank);
  }
  std::sort(ranks.begin(), ranks.end());
}

std::string Sender::look_closer() {
  constexpr std::int64_t kSteps = 100;
  locate_until_ = step_ + kSteps;
  for (const Message& message : messages_) {
    if (message.bucket < 0) continue;
    std::string name = nonfinite_member(message);
    if (!name.empty()) return name;
  }
  return {};
}

}  // namespace panther::comm
