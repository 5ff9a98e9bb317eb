#pragma once
// Joining the job: who am I, on which device, connected to whom.
#include <memory>
#include <string>

#include "comm/collective.h"
#include "comm/rendezvous/store.h"
#include "core/env.h"
#include "kernels/view.h"
#include "runtime/export.h"
#include "runtime/train/run_config.h"

namespace panther::runtime {

/// This process in its job. The collective is the only way to the other ranks.
struct World {
  RankFacts facts;
  Device device;
  std::shared_ptr<comm::Store> store;
  std::unique_ptr<comm::Collective> collective;
  comm::Deadline deadline() const;
  std::chrono::nanoseconds timeout{};

  int rank() const { return collective->rank(); }
  int size() const { return collective->size(); }
  bool leader() const { return rank() == 0; }
};

/// "auto" is CUDA when there is a device, else the CPU. Throws Unsupported with the reason for "cuda" without one.
PANTHER_RUNTIME_API Device choose_device(const std::string& name, int local_rank);
/// Connects to the other ranks by the store the environment names (PANTHER_STORE, torchrun's c10d store, MASTER_ADDR) or by MPI.
PANTHER_RUNTIME_API World join_world(const RunConfig& config, const RankFacts& facts);
/// Rank 0's text, on every rank.
PANTHER_RUNTIME_API std::string broadcast_text(World& world, const std::string& text);
/// Sum over ranks in f64.
PANTHER_RUNTIME_API std::vector<double> all_reduce_sum(World& world, std::vector<double> values);

}  // namespace panther::runtime
