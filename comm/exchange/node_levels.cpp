#include "comm/exchange/node_levels.h"


#include <algorithm>
#include <fstream>
#include <map>
#include <utility>

#include "comm/gather_integers.h"
#include "core/env.h"
#include "core/error.h"
#include "core/text.h"
#include "kernels/philox.h"

namespace panther::comm {

void HierarchyConfig::fields(FieldVisitor& v) {
  v.field("mode", mode, {.help = "add gradients inside a node first, then among nodes by one rank of each; auto: ranks of one host are a node, set: node_ranks", .choices = {"off", "auto", "set"}});
  v.field("node_ranks", node_ranks, {.help = "set: so many consecutive ranks are a node", .min = 0, .max = 1e6});
  v.field("inner", inner, {.help = "what travels inside a node: none: as computed, half: bf16 with f32 sums; among nodes comm.exchange does", .choices = {"none", "half"}});
}

std::vector<int> nodes_of(const HierarchyConfig& config, std::span<const std::int64_t> hosts) {
  PANTHER_REQUIRE(config.mode != "set" || config.node_ranks > 0, "comm.hierarchy.mode = \"set\" needs comm.hierarchy.node_ranks: how many consecutive ranks are a node");
  std::vector<int> nodes;
  std::map<std::int64_t, int> known;
  std::vector<int> members;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
    const std::int64_t host = config.mode == "set" ? static_cast<std::int64_t>(rank) / config.node_ranks : hosts[rank];
    const auto [place, fresh] = known.try_emplace(host, static_cast<int>(known.size()));
    if (fresh) members.push_back(0);
    ++members[static_cast<std::size_t>(place->second)];
    nodes.push_back(place->second);
  }
  const bool several = std::any_of(members.begin(), members.end(), [](int count) { return count > 1; });
  if (config.mode == "off" || members.size() < 2 || !several) return {};
  return nodes;
}

std::int64_t host_number() {
  std::string text = host_name();
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  text += boot;
  return static_cast<std::int64_t>(hash_name(text.data(), text.size()) >> 1);
}

NodeLevels::NodeLevels(Collective& world, std::span<const int> nodes, bool half, Allocator& allocator, Deadline deadline) : world_(world), half_(half), allocator_(allocator) {
  const auto rank = static_cast<std::size_t>(world.rank());
  PANTHER_CHECK(nodes.size() == static_cast<std::size_t>(world.size()), nodes.size(), " nodes for ", world.size(), " ranks");
  for (std::size_t other = 0; other < nodes.size(); ++other) {
    if (nodes[other] == nodes[rank]) members_.push_back(static_cast<int>(other));
    if (std::find(nodes.begin(), nodes.end(), nodes[other]) == nodes.begin() + static_cast<std::ptrdiff_t>(other)) leaders_.push_back(static_cast<int>(other));
  }
  inner_ = world.split(nodes[rank], deadline);
  outer_ = world.split(members_.front() == world.rank() ? 0 : -1, deadline);
}

void NodeLevels::watch(Lane& lane, std::vector<std::int64_t> buckets) {
  integrity_ = std::make_unique<Integrity>(*inner_, lane, std::move(buckets), members_, concat(" in the sum of ranks ", join(members_)));
}

TensorView NodeLevels::wire_of(const TensorView& bucket, Stream stream) {
  if (!half_ || size_of(bucket.dtype) == 2) return bucket;
  const auto bytes = static_cast<std::size_t>(bucket.numel()) * 2;
  if (memory_ == nullptr || memory_->bytes() < bytes) memory_ = std::make_unique<Workspace>(allocator_, bytes, bucket.device, stream);
  return TensorView(memory_->data(), DType::bf16, {bucket.numel()}, bucket.device);
}

void NodeLevels::collect(std::size_t index, const TensorView& bucket, std::int64_t tail, const KernelSet& kernels, Stream stream, Deadline deadline) {
  if (inner_->size() == 1) return;
  const TensorView wire = wire_of(bucket, stream);
  if (wire.data != bucket.data) kernels.cast(bucket, wire, stream);
  if (integrity_ != nullptr) integrity_->sending(index, wire, tail, true);
  const Work work = inner_->all_reduce(wire, ReduceOp::sum, stream, deadline);
  count(inner_->all_reduce_bytes_sent(wire.bytes()));
  if (integrity_ != nullptr) {
    work.wait(deadline);
    integrity_->received(index, wire, tail);
  }
  if (wire.data != bucket.data) kernels.cast(wire, bucket, stream);
}

Work NodeLevels::spread(const TensorView& bucket, const KernelSet& kernels, Stream stream, Deadline deadline) {
  if (!half_ && inner_->size() == 1) return {};
  // Rounded on every node, also one of a single rank: all ranks of all nodes go on with the same bits.
  const TensorView wire = wire_of(bucket, stream);
  if (leads() && wire.data != bucket.data) kernels.cast(bucket, wire, stream);
  const Work work = inner_->broadcast(wire, 0, stream, deadline);
  count(inner_->broadcast_bytes_sent(wire.bytes(), 0));
  if (wire.data != bucket.data) kernels.cast(wire, bucket, stream);
  return work;
}

std::vector<std::int64_t> NodeLevels::tell(std::span<const std::int64_t> values, Stream stream, Deadline deadline) {
  std::vector<std::int64_t> all = gather_integers(*inner_, values, stream, deadline);
  count(static_cast<std::int64_t>(values.size_bytes()) * (inner_->size() - 1));
  all.resize(values.size());
  return all;
}

void NodeLevels::count(std::int64_t bytes) noexcept {
  sent_.bytes += bytes;
  ++sent_.collectives;
}

NodeLevels::Sent NodeLevels::take_sent() noexcept { return std::exchange(sent_, {}); }

void NodeLevels::abort() noexcept {
  world_.abort();
  inner_->abort();
  if (outer_ != nullptr) outer_->abort();
}

}  // namespace panther::comm
