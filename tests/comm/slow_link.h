#pragma once
// A collective whose messages take as long as on a link of a given rate.
#include <atomic>
#include <thread>

#include "tests/comm/exchange_world.h"

namespace panther::comm::testing {

/// Passes everything on after sleeping for the bytes that this rank sends.
class SlowLink final : public Collective {
 public:
  SlowLink(Collective& inner, double bytes_per_second) : inner_(inner), rate_(bytes_per_second) {}
  std::atomic<double>& rate() { return rate_; }

  std::string_view backend() const noexcept override { return inner_.backend(); }
  int rank() const noexcept override { return inner_.rank(); }
  int size() const noexcept override { return inner_.size(); }
  DeviceKind device() const noexcept override { return inner_.device(); }
  Work all_reduce(const TensorView& buffer, ReduceOp op, Stream stream, Deadline deadline) override {
    wait(inner_.all_reduce_bytes_sent(buffer.bytes()));
    return inner_.all_reduce(buffer, op, stream, deadline);
  }
  Work all_gather(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    wait(input.bytes() * (size() - 1));
    return inner_.all_gather(input, output, stream, deadline);
  }
  Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp op, Stream stream, Deadline deadline) override {
    return inner_.reduce_scatter(input, output, op, stream, deadline);
  }
  Work broadcast(const TensorView& buffer, int root, Stream stream, Deadline deadline) override { return inner_.broadcast(buffer, root, stream, deadline); }
  Work all_to_all(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    return inner_.all_to_all(input, output, stream, deadline);
  }
  Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream stream, Deadline deadline) override {
    return inner_.send_recv(outgoing, to, incoming, from, stream, deadline);
  }
  void barrier(Deadline deadline) override { inner_.barrier(deadline); }
  void abort() noexcept override { inner_.abort(); }
  std::int64_t all_reduce_bytes_sent(std::int64_t bytes) const noexcept override { return inner_.all_reduce_bytes_sent(bytes); }

 private:
  void wait(std::int64_t bytes) const {
    std::this_thread::sleep_for(std::chrono::duration<double>(static_cast<double>(bytes) / rate_.load()));
  }

  Collective& inner_;
  std::atomic<double> rate_;
};

}  // namespace panther::comm::testing
