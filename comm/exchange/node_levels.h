#pragma once
// Two levels of an exchange: ranks of a node add a bucket among themselves, one of each node brings the sum to the other nodes.
#include <memory>
#include <span>
#include <vector>

#include "comm/collective.h"
#include "comm/exchange/integrity.h"
#include "core/fields.h"
#include "kernels/allocator.h"
#include "kernels/kernel_set.h"

namespace panther::comm {

/// `[comm.hierarchy]` of the configuration.
struct PANTHER_COMM_API HierarchyConfig {
  std::string mode = "off";          ///< off | auto (by host) | set (node_ranks)
  std::int64_t node_ranks = 0;       ///< set: this many consecutive ranks are a node
  std::string inner = "none";        ///< wire inside a node: none | half
  void fields(FieldVisitor& v);
};

/// 64-bit digest of all fields: what ranks must agree on.
PANTHER_COMM_API std::uint64_t settings_digest(const HierarchyConfig& config);

/// Nodes by rank, numbered from 0 in the order of their first ranks. `set`: ranks / node_ranks, the last one with fewer where that is not whole. `auto`: equal
/// `hosts` (any number that tells hosts apart, by rank) are a node. Empty where two levels make no sense: off, one node, or no node of several
/// ranks. Pure. Throws InvalidArgument for `set` without node_ranks.
PANTHER_COMM_API std::vector<int> nodes_of(const HierarchyConfig& config, std::span<const std::int64_t> hosts);
/// What tells this host from others in a network: of its name and boot.
PANTHER_COMM_API std::int64_t host_number();

/// The groups of one rank. All calls but abort from the communication thread.
class NodeLevels {
 public:
  /// All ranks of `world` together; `nodes` as nodes_of() gave them. Throws what Collective::split() throws.
  NodeLevels(Collective& world, std::span<const int> nodes, bool half, Allocator& allocator, Deadline deadline);

  bool leads() const noexcept { return outer_ != nullptr; }
  /// The leaders of all nodes, by their first ranks; null on others.
  Collective* outer() const noexcept { return outer_.get(); }
  /// The leader of each node.
  const std::vector<int>& leaders() const noexcept { return leaders_; }

  /// Checked mode: collect() records what it does with its messages, one for each of `buckets`. No collective.
  void watch(Lane& lane, std::vector<std::int64_t> buckets);
  /// Null unless watched.
  Integrity* integrity() noexcept { return integrity_.get(); }

  /// The leader's bucket becomes the node's sum, the others' something of no use. The last `tail` elements of message `index` are not gradients.
  void collect(std::size_t index, const TensorView& bucket, std::int64_t tail, const KernelSet& kernels, Stream stream, Deadline deadline);
  /// The leader's bucket becomes everybody's, with the same bits.
  Work spread(const TensorView& bucket, const KernelSet& kernels, Stream stream, Deadline deadline);
  /// The leader's integers, for its node.
  std::vector<std::int64_t> tell(std::span<const std::int64_t> values, Stream stream, Deadline deadline);

  /// Sent inside the node by this rank in collect(), spread() and tell() since the last call.
  struct Sent {
    std::int64_t bytes = 0;
    std::int64_t collectives = 0;
  };
  Sent take_sent() noexcept;
  void abort() noexcept;

 private:
  TensorView wire_of(const TensorView& bucket, Stream stream);
  void count(std::int64_t bytes) noexcept;

  Collective& world_;
  std::unique_ptr<Collective> inner_, outer_;
  std::vector<int> members_, leaders_;   ///< ranks of this node, by rank in inner_; of outer_
  bool half_;
  Allocator& allocator_;
  std::unique_ptr<Workspace> memory_;
  std::unique_ptr<Integrity> integrity_;
  Sent sent_;
};

}  // namespace panther::comm
