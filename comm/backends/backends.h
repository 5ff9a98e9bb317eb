#pragma once
// The collectives this build has. Each pair x.cpp | no_x.cpp defines one make and one why_no.
#include <memory>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/group.h"

namespace panther::comm {

std::unique_ptr<Collective> make_self(DeviceKind device);

/// The ranks of one process, to be handed to one thread each.
std::vector<std::unique_ptr<Collective>> make_threads(int ranks);
/// Meets the other threads of this process through the store's key "threads/world".
std::unique_ptr<Collective> join_threads(const GroupOptions& options);

/// Over host memory and sockets of its own. Throws InvalidArgument without a store or for an unknown interface, Timeout, PeerLost.
std::unique_ptr<Collective> make_tcp(const GroupOptions& options);

/// Over host memory. Throws Unsupported with why_no_gloo(), InvalidArgument without a store, Timeout, PeerLost.
std::unique_ptr<Collective> make_gloo(const GroupOptions& options);
/// "" when it can run here.
std::string why_no_gloo();

/// Over host memory; the world is mpirun's. Throws Unsupported with why_no_mpi(), InvalidArgument when the worlds differ.
std::unique_ptr<Collective> make_mpi(const GroupOptions& options);
std::string why_no_mpi();

/// Over the memory of options.device. Throws Unsupported with why_no_nccl(), InvalidArgument without a store, Timeout, PeerLost.
std::unique_ptr<Collective> make_nccl(const GroupOptions& options);
std::string why_no_nccl();

}  // namespace panther::comm
