#pragma once
// Handle of one issued collective.
#include <memory>

#include "comm/deadline.h"
#include "comm/export.h"

namespace panther::comm {

/// CPU backends return finished work (the communication thread did it); NCCL returns work that is ordered on the stream
/// given to the call and finishes later.
class PANTHER_COMM_API Work {
 public:
  class State {
   public:
    virtual ~State() = default;
    virtual bool done() = 0;
    virtual void wait(Deadline deadline) = 0;
  };

  Work() = default;  ///< finished
  explicit Work(std::shared_ptr<State> state) : state_(std::move(state)) {}
  bool done() const { return state_ == nullptr || state_->done(); }
  /// Blocks the host until finished. Throws Timeout, PeerLost, DeviceFault.
  void wait(Deadline deadline) const { if (state_ != nullptr) state_->wait(deadline); }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace panther::comm
