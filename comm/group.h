#pragma once
// Making the collective of a job from its configuration and the facts of the world.
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/rendezvous/store.h"

namespace panther::comm {

struct GroupOptions {
  std::string backend = "auto";  ///< auto | self | threads | tcp | mpi | gloo | nccl
  int rank = 0;
  int size = 1;
  int local_rank = 0;
  int local_size = 1;            ///< ranks on this host
  Device device;                 ///< where gradients live
  bool mpi_launched = false;
  bool deterministic = false;    ///< sums in rank order, the same bits on every backend (comm/backends/ordered_collective.h)
  std::shared_ptr<Store> store;  ///< needed by tcp, gloo, nccl and threads; its keys must be fresh: one prefix per group
  /// tcp and gloo: address or interface name to bind. "" = GLOO_SOCKET_IFNAME when set, loopback when all ranks are local, else the host's name.
  std::string interface_address;
  std::chrono::milliseconds timeout{std::chrono::minutes(5)};
};

/// The backend `auto` stands for: self for one rank; nccl for CUDA; mpi under mpirun; tcp otherwise. Pure.
PANTHER_COMM_API std::string resolve_backend(const GroupOptions& options);
/// Connects. Throws Unsupported naming the reason when a backend is not built or cannot run, InvalidArgument, Timeout, PeerLost.
PANTHER_COMM_API std::unique_ptr<Collective> make_collective(const GroupOptions& options);
/// Backends of this build with the reason when one cannot run here ("" = can run). For doctor and tests.
struct BackendStatus {
  std::string name;
  std::string why_not;
};
PANTHER_COMM_API std::vector<BackendStatus> backend_statuses();
/// Runs `body(collective)` on `ranks` threads joined by the `threads` backend, whose buffers are on `device`; rethrows the first failure. For tests and tools.
PANTHER_COMM_API void run_ranks_as_threads(int ranks, const std::function<void(Collective&)>& body, Device device = {});

}  // namespace panther::comm
