#include "comm/backends/ordered_collective.h"

#include <optional>
#include <vector>

#include "comm/backends/arguments.h"
#include "core/error.h"
#include "kernels/allocator.h"
#include "kernels/kernel_set.h"

namespace panther::comm {
namespace {

constexpr std::int64_t kAlignment = 64;  // bytes: chunks end between elements of every type

/// Bytes of one rank's chunk; what does not divide is summed by everybody.
std::int64_t chunk_bytes(std::int64_t bytes, int ranks) { return bytes / ranks / kAlignment * kAlignment; }

class OrderedCollective final : public Collective {
 public:
  explicit OrderedCollective(std::unique_ptr<Collective> inner) : inner_(std::move(inner)) {}

  std::string_view backend() const noexcept override { return inner_->backend(); }
  int rank() const noexcept override { return inner_->rank(); }
  int size() const noexcept override { return inner_->size(); }
  DeviceKind device() const noexcept override { return inner_->device(); }

  Work all_reduce(const TensorView& buffer, ReduceOp op, Stream stream, Deadline deadline) override {
    check_buffer(*this, "all_reduce", buffer);
    if (size() == 1 || op != ReduceOp::sum || !is_floating(buffer.dtype)) return inner_->all_reduce(buffer, op, stream, deadline);
    const TensorView flat = buffer.flattened();
    const std::int64_t element = static_cast<std::int64_t>(size_of(buffer.dtype)), chunk = chunk_bytes(flat.bytes(), size()) / element;
    const std::int64_t whole = chunk * size(), rest = flat.numel() - whole;
    const TensorView terms = scratch(std::max(whole, rest * size()), flat, stream);
    Work work;
    if (chunk > 0) {
      const TensorView body = flat.slice(0, whole), own = body.slice(rank() * chunk, chunk);
      inner_->all_to_all(body, terms.slice(0, whole), stream, deadline);
      add(terms.slice(0, whole), own, stream);
      const TensorView mine = second(chunk, flat, stream);
      kernels_for(flat.device.kind).cast(own, mine, stream);
      work = inner_->all_gather(mine, body, stream, deadline);
    }
    if (rest > 0) {
      const TensorView tail = flat.slice(whole, rest), gathered = terms.slice(0, rest * size());
      work = inner_->all_gather(tail, gathered, stream, deadline);
      if (device() == DeviceKind::cpu) work.wait(deadline);
      add(gathered, tail, stream);
    }
    return work;
  }
  Work all_gather(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    return inner_->all_gather(input, output, stream, deadline);
  }
  Work reduce_scatter(const TensorView& input, const TensorView& output, ReduceOp op, Stream stream, Deadline deadline) override {
    check_parts(*this, "reduce_scatter", output, input);
    if (size() == 1 || op != ReduceOp::sum || !is_floating(input.dtype)) return inner_->reduce_scatter(input, output, op, stream, deadline);
    const TensorView terms = scratch(input.numel(), input, stream);
    const Work work = inner_->all_to_all(input.flattened(), terms, stream, deadline);
    add(terms, output.flattened(), stream);
    return work;
  }
  Work broadcast(const TensorView& buffer, int root, Stream stream, Deadline deadline) override { return inner_->broadcast(buffer, root, stream, deadline); }
  Work all_to_all(const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) override {
    return inner_->all_to_all(input, output, stream, deadline);
  }
  Work send_recv(const TensorView& outgoing, int to, const TensorView& incoming, int from, Stream stream, Deadline deadline) override {
    return inner_->send_recv(outgoing, to, incoming, from, stream, deadline);
  }
  void barrier(Deadline deadline) override { inner_->barrier(deadline); }
  std::unique_ptr<Collective> split(int color, Deadline deadline) override {
    std::unique_ptr<Collective> part = inner_->split(color, deadline);
    return part == nullptr ? nullptr : make_ordered_collective(std::move(part));
  }
  void abort() noexcept override { inner_->abort(); }

  std::int64_t broadcast_bytes_sent(std::int64_t bytes, int root) const noexcept override { return inner_->broadcast_bytes_sent(bytes, root); }
  std::int64_t all_reduce_bytes_sent(std::int64_t bytes) const noexcept override {
    const std::int64_t chunk = chunk_bytes(bytes, size()), rest = bytes - chunk * size();
    return (size() - 1) * (2 * chunk + rest);
  }

 private:
  /// target = the terms of all ranks, which stand one behind the other, added in that order.
  void add(const TensorView& terms, const TensorView& target, Stream stream) const {
    constexpr int kMost = 64;  // sources of one packed sum
    const KernelSet& kernels = kernels_for(target.device.kind);
    std::vector<TensorView> sources;
    const std::int64_t count = target.numel();
    for (int r = 0; r < size(); ++r) {
      sources.push_back(terms.slice(r * count, count));
      if (static_cast<int>(sources.size()) < kMost && r + 1 < size()) continue;
      kernels.packed_sum(sources, target, stream);
      sources.assign(1, target);
    }
  }
  static TensorView grown(std::optional<Workspace>& memory, std::int64_t count, const TensorView& like, Stream stream) {
    const std::size_t bytes = static_cast<std::size_t>(count) * size_of(like.dtype);
    if (!memory || memory->bytes() < bytes) {
      memory.reset();
      memory.emplace(plain_allocator(), bytes, like.device, stream);
    }
    return TensorView(memory->data(), like.dtype, {count}, like.device);
  }
  TensorView scratch(std::int64_t count, const TensorView& like, Stream stream) { return grown(terms_, count, like, stream); }
  TensorView second(std::int64_t count, const TensorView& like, Stream stream) { return grown(own_, count, like, stream); }

  std::unique_ptr<Collective> inner_;
  std::optional<Workspace> terms_, own_;
};

}  // namespace

std::unique_ptr<Collective> make_ordered_collective(std::unique_ptr<Collective> inner) { return std::make_unique<OrderedCollective>(std::move(inner)); }

}  // namespace panther::comm
