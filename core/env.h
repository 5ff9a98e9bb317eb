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
  std::string master_addr;  ///< MASTER_ADDR, "" when not set
  int master_port = 0;      ///< MASTER_PORT, 0 when not set
  bool torchrun_agent_store = false;  ///< the agent of torchrun owns MASTER_PORT (TORCHELASTIC_USE_AGENT_STORE)
  int restart_count = 0;    ///< attempt number of the launcher
  std::string job_id = "local";
  /// True under mpirun or srun with an MPI bootstrap: the `mpi` backend can form the world by itself.
  bool mpi_launched() const { return convention == "openmpi" || convention == "pmix" || convention == "pmi"; }
};

using EnvLookup = std::function<std::optional<std::string>(const std::string&)>;

/// First match wins; a partial set throws InvalidArgument naming what is missing, as does a rank outside its world.
///   PANTHER_RANK PANTHER_WORLD_SIZE [PANTHER_LOCAL_RANK PANTHER_LOCAL_WORLD_SIZE] [PANTHER_NODE_RANK]; without the local
///     pair all ranks are on this machine
///   RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE [GROUP_RANK] MASTER_ADDR MASTER_PORT (the last two not for a world of one,
///     nor where PANTHER_STORE is set)
///   OMPI_COMM_WORLD_{RANK,SIZE,LOCAL_RANK,LOCAL_SIZE}
///   PMIX_RANK, or PMI_RANK with PMI_SIZE; the rest from MPI_LOCALRANKID MPI_LOCALNRANKS or, inside an srun step, SLURM_*
///   SLURM_PROCID SLURM_NTASKS SLURM_LOCALID SLURM_NODEID SLURM_STEP_TASKS_PER_NODE, inside an srun step only
///   JOB_COMPLETION_INDEX PANTHER_WORLD_SIZE and PANTHER_STORE or MASTER_ADDR MASTER_PORT: one rank per pod
/// With each of them: PANTHER_STORE, PANTHER_JOB_ID (else TORCHELASTIC_RUN_ID, PMIX_NAMESPACE or Slurm's job.step) and
/// PANTHER_RESTART_COUNT (else TORCHELASTIC_RESTART_COUNT, SLURM_RESTART_COUNT). A MASTER_ADDR alone selects nothing.
PANTHER_CORE_API RankFacts read_rank_facts(const EnvLookup& lookup);
/// Looks into the process environment.
PANTHER_CORE_API std::optional<std::string> env_value(const std::string& name);
/// Of this machine.
PANTHER_CORE_API std::string host_name();

}  // namespace panther
