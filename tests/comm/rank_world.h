#pragma once
// A group of ranks that a contract test runs its body on.
#include <functional>
#include <memory>
#include <string>

#include "comm/collective.h"

namespace panther::comm::testing {

class RankWorld {
 public:
  virtual ~RankWorld() = default;
  virtual int ranks() const = 0;
  /// Runs body(collective, leave) on every rank of a group; `leave` destroys the rank's collective. Rethrows the first failure.
  virtual void run(const std::function<void(Collective& group, const std::function<void()>& leave)>& body) = 0;
};

/// `name` is one of self, threads, messages (MessageCollective over queues in memory), tcp, gloo.
std::unique_ptr<RankWorld> make_rank_world(const std::string& name, int ranks);

}  // namespace panther::comm::testing
