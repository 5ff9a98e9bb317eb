#pragma once
// One rank's buckets and exchange for tests, and collectives that count or damage what passes.
#include <chrono>
#include <cstring>
#include <functional>
#include <vector>

#include "comm/exchange/exchange.h"
#include "comm/group.h"
#include "core/error.h"
#include "kernels/element/half.h"
#include "tests/comm/test_device.h"

namespace panther::comm::testing {

using namespace std::chrono_literals;

/// Memory, plan and exchange of one rank. On a GPU (test_device.h) `memory` is a copy on the host: push() and pull() move the gradients.
struct RankExchange {
  RankExchange(Collective& collective, std::vector<GradientSlot> gradient_slots, const ExchangeConfig& config,
               std::chrono::nanoseconds timeout = 60s, const CodecRegistry& codecs = codec_registry())
      : slots(std::move(gradient_slots)), plan(plan_buckets(slots, bucket_limits(config, collective.size()))) {
    for (const Bucket& bucket : plan.buckets) {
      memory.emplace_back(static_cast<std::size_t>(bucket.numel) * size_of(bucket.dtype), std::byte{0});
      buckets.emplace_back(memory.back().data(), bucket.dtype, std::initializer_list<std::int64_t>{bucket.numel});
    }
    std::vector<TensorView> used = buckets;
    if (!on_host()) {
      for (TensorView& bucket : used) {
        device_memory.push_back(std::make_unique<Workspace>(plain_allocator(), static_cast<std::size_t>(bucket.bytes()), test_device(), Stream{}));
        bucket.data = device_memory.back()->data();
        bucket.device = test_device();
      }
      push();
    }
    exchange = std::make_unique<Exchange>(collective, kernels_for(test_device().kind), plain_allocator(), plan, used, config, timeout, codecs);
  }

  void push() const {
    for (std::size_t i = 0; i < device_memory.size(); ++i) copy_now(device_memory[i]->data(), memory[i].data(), memory[i].size());
  }
  void pull() {
    for (std::size_t i = 0; i < device_memory.size(); ++i) copy_now(memory[i].data(), device_memory[i]->data(), memory[i].size());
  }

  /// The gradient of a slot inside its bucket.
  TensorView gradient(std::int64_t slot) const {
    for (std::size_t i = 0; i < plan.buckets.size(); ++i) {
      for (const BucketMember& member : plan.buckets[i].members) {
        if (member.slot == slot) return buckets[i].slice(member.offset, member.numel);
      }
    }
    fail(ErrorCode::Internal, "no slot ", slot);
  }

  void zero() {
    for (auto& block : memory) std::memset(block.data(), 0, block.size());
  }

  std::vector<GradientSlot> slots;
  BucketPlan plan;
  std::vector<std::vector<std::byte>> memory;
  std::vector<TensorView> buckets;
  std::vector<std::unique_ptr<Workspace>> device_memory;
  std::unique_ptr<Exchange> exchange;
};

inline void put(const TensorView& view, std::int64_t i, double value) {
  switch (view.dtype) {
    case DType::f64: view.as<double>()[i] = value; return;
    case DType::f32: view.as<float>()[i] = static_cast<float>(value); return;
    case DType::bf16: view.as<Bf16>()[i] = to_bf16(static_cast<float>(value)); return;
    case DType::f16: view.as<F16>()[i] = to_f16(static_cast<float>(value)); return;
    default: fail(ErrorCode::Internal, "not floating");
  }
}

inline double get(const TensorView& view, std::int64_t i) {
  switch (view.dtype) {
    case DType::f64: return view.as<double>()[i];
    case DType::f32: return view.as<float>()[i];
    case DType::bf16: return to_float(view.as<Bf16>()[i]);
    case DType::f16: return to_float(view.as<F16>()[i]);
    default: fail(ErrorCode::Internal, "not floating");
  }
}

/// Passes everything on; tests look at or change what passes through all_reduce and broadcast.
class Watched final : public Collective {
 public:
  explicit Watched(Collective& inner) : inner_(inner) {}
  explicit Watched(std::unique_ptr<Collective> inner) : owned_(std::move(inner)), inner_(*owned_) {}

  std::function<void(const TensorView&)> before;  ///< sees what this rank sends
  std::function<void(const TensorView&)> after;   ///< sees what came
  std::function<void(const TensorView&)> spread;  ///< sees what came of a broadcast
  std::vector<Watched*> parts;                    ///< what split() gave this rank, while it lives
  std::int64_t counted_bytes = 0;                 ///< sent by this rank, from the calls that were made
  std::int64_t calls = 0;

  std::string_view backend() const noexcept override { return inner_.backend(); }
  int rank() const noexcept override { return inner_.rank(); }
  int size() const noexcept override { return inner_.size(); }
  DeviceKind device() const noexcept override { return inner_.device(); }
  Work all_reduce(const TensorView& buffer, ReduceOp op, Stream stream, Deadline deadline) override {
    if (before) before(buffer);
    const Work work = inner_.all_reduce(buffer, op, stream, deadline);
    counted_bytes += inner_.all_reduce_bytes_sent(buffer.bytes());
    ++calls;
    if (after) after(buffer);
    return work;
  }
  Work all_gather(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    counted_bytes += input.bytes() * (size() - 1);
    ++calls;
    return inner_.all_gather(input, output, stream, deadline);
  }
  Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp op, Stream stream, Deadline deadline) override {
    counted_bytes += output.bytes() * (size() - 1);
    ++calls;
    return inner_.reduce_scatter(input, output, op, stream, deadline);
  }
  Work broadcast(const TensorView& buffer, int root, Stream stream, Deadline deadline) override {
    const Work work = inner_.broadcast(buffer, root, stream, deadline);
    counted_bytes += inner_.broadcast_bytes_sent(buffer.bytes(), root);
    ++calls;
    if (spread) spread(buffer);
    return work;
  }
  Work all_to_all(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    return inner_.all_to_all(input, output, stream, deadline);
  }
  std::unique_ptr<Collective> split(int color, Deadline deadline) override {
    std::unique_ptr<Collective> part = inner_.split(color, deadline);
    if (part == nullptr) return nullptr;
    auto watched = std::make_unique<Watched>(std::move(part));
    parts.push_back(watched.get());
    return watched;
  }
  Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream stream, Deadline deadline) override {
    return inner_.send_recv(outgoing, to, incoming, from, stream, deadline);
  }
  void barrier(Deadline deadline) override { inner_.barrier(deadline); }
  void abort() noexcept override { inner_.abort(); }
  std::int64_t all_reduce_bytes_sent(std::int64_t bytes) const noexcept override { return inner_.all_reduce_bytes_sent(bytes); }
  std::int64_t broadcast_bytes_sent(std::int64_t bytes, int root) const noexcept override { return inner_.broadcast_bytes_sent(bytes, root); }

 private:
  std::unique_ptr<Collective> owned_;
  Collective& inner_;
};

/// The code and message of what `body` throws.
struct Thrown {
  bool any = false;
  ErrorCode code = ErrorCode::Internal;
  std::string message;
};

inline Thrown catch_error(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return {true, error.code(), error.message()};
  }
  return {};
}

}  // namespace panther::comm::testing
