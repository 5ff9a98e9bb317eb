#pragma once
// Facts of the world that a launcher hands to a process: who am I among how many.
#include <functional>
#include <optional>
#include <string>

#include "core/export.h"

namespace panther {

/// Place of this process in the job. Read once, at the start of a main.
struct RankFacts {
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;
  int local_world_size = 1;
  int node_rank = 0;
  /// Which convention gave it: "none", "panther", "torchrun", "openmpi", "pmix", "pmi", "slurm", "kubernetes".
  std::string convention = "none";
  /// tcp://host:port or file:///folder of the rendezvous store when the launcher offers one (PANTHER_STORE).
  std::string store_url;
  std::string master_addr;  ///< MASTER_ADDR, when the convention has it
  int master_port = 0;      ///< MASTER_PORT, when the convention has it
  bool torchrun_agent_store = false;  ///< the agent of torchrun owns MASTER_PORT (TORCHELASTIC_USE_AGENT_STORE)
  int restart_count = 0;    ///< attempt number of the launcher
  std::string job_id = "local";
  /// True under mpirun or srun with an MPI bootstrap: the `mpi` backend can form the world by itself.
  bool mpi_launched() const { return convention == "openmpi" || convention == "pmix" || convention == "pmi"; }
};

using EnvLookup = std::function<std::optional<std::string>(const std::string&)>;

/// First match wins: PANTHER_RANK.. > RANK LOCAL_RANK WORLD_SIZE .. (torchrun) > OMPI_COMM_WORLD_* > PMIX_RANK / PMI_* >
/// SLURM_* (inside an srun step only) > JOB_COMPLETION_INDEX. A partial set throws InvalidArgument naming what is missing.
PANTHER_CORE_API RankFacts read_rank_facts(const EnvLookup& lookup);
/// Looks into the process environment.
PANTHER_CORE_API std::optional<std::string> env_value(const std::string& name);

}  // namespace panther
