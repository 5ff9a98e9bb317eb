#include "comm/backends/stream_work.h"

#include <thread>

#include "core/error.h"
#include "kernels/cuda/device_memory.h"

namespace panther::comm {
namespace {

class StreamState final : public Work::State {
 public:
  explicit StreamState(Stream stream) : event_(create_event()) { record_event(event_, stream); }
  ~StreamState() override { destroy_event(event_); }
  StreamState(const StreamState&) = delete;
  StreamState& operator=(const StreamState&) = delete;

  bool done() override { return event_done(event_); }

  void wait(Deadline deadline) override {
    if (deadline.when == Deadline::never().when) return event_synchronize(event_);
    // The device gives no wait with a limit: look often at first, then every 50 us.
    for (int looks = 0; !event_done(event_); ++looks) {
      if (deadline.passed()) fail(ErrorCode::Timeout, "work on the device's stream was not done in time");
      if (looks > 1000) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

 private:
  Event event_;
};

}  // namespace

Work work_of_stream(Stream stream) { return Work(std::make_shared<StreamState>(stream)); }

}  // namespace panther::comm
