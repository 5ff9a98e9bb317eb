#include <atomic>
#include <cstring>

#include "comm/backends/arguments.h"
#include "comm/backends/backends.h"
#include "comm/backends/stream_work.h"
#include "core/error.h"
#include "kernels/cuda/device_memory.h"

namespace panther::comm {
namespace {

/// A world of one: every result is a copy.
class SelfCollective final : public Collective {
 public:
  explicit SelfCollective(DeviceKind device) : device_(device) {}

  std::string_view backend() const noexcept override { return "self"; }
  int rank() const noexcept override { return 0; }
  int size() const noexcept override { return 1; }
  DeviceKind device() const noexcept override { return device_; }

  Work all_reduce(const TensorView& buffer, ReduceOp, Stream, Deadline) override {
    check_buffer(*this, "all_reduce", buffer);
    return done();
  }
  Work all_gather(const TensorView& input, const TensorView& output, Stream stream, Deadline) override {
    check_parts(*this, "all_gather", input, output);
    return copy(input, output, stream);
  }
  Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp, Stream stream, Deadline) override {
    check_parts(*this, "reduce_scatter", output, input);
    return copy(input, output, stream);
  }
  Work broadcast(const TensorView& buffer, int root, Stream, Deadline) override {
    check_buffer(*this, "broadcast", buffer);
    check_root(*this, "broadcast", root);
    return done();
  }
  Work all_to_all(const TensorView& input, const TensorView& output, Stream stream, Deadline) override {
    check_all_to_all(*this, input, output);
    return copy(input, output, stream);
  }
  Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream stream, Deadline) override {
    check_send_recv(*this, outgoing, to, incoming, from);
    return to == 0 ? copy(outgoing, incoming, stream) : done();
  }
  void barrier(Deadline) override { done(); }
  std::unique_ptr<Collective> split(int color, Deadline) override { return color < 0 ? nullptr : make_self(device_); }
  void abort() noexcept override { aborted_ = true; }
  std::int64_t all_reduce_bytes_sent(std::int64_t) const noexcept override { return 0; }

 private:
  Work done() const {
    if (aborted_) fail(ErrorCode::PeerLost, "the group of one rank was aborted");
    return {};
  }
  Work copy(const TensorView& from, const TensorView& to, Stream stream) const {
    done();
    if (from.data == to.data || from.bytes() == 0) return {};
    const auto bytes = static_cast<std::size_t>(from.bytes());
    if (device_ == DeviceKind::cpu) {
      std::memmove(to.data, from.data, bytes);
      return {};
    }
    copy_async(to.data, from.data, bytes, stream);
    return work_of_stream(stream);
  }

  DeviceKind device_;
  std::atomic<bool> aborted_{false};
};

}  // namespace

std::unique_ptr<Collective> make_self(DeviceKind device) { return std::make_unique<SelfCollective>(device); }

}  // namespace panther::comm
