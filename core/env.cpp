#include "core/env.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <vector>

#include "core/error.h"

namespace panther {

std::optional<std::string> env_value(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

namespace {

using Names = std::initializer_list<const char*>;

/// Variables with their checks. An empty value counts as absent: that is how shells pass on what is not set.
class Environment {
 public:
  explicit Environment(const EnvLookup& lookup) : lookup_(lookup) {}

  std::optional<std::string> text(const std::string& name) const {
    auto value = lookup_(name);
    if (value && value->empty()) value.reset();
    return value;
  }
  bool has(const std::string& name) const { return text(name).has_value(); }
  bool any(Names names) const {
    for (const char* name : names)
      if (has(name)) return true;
    return false;
  }

  std::optional<std::int64_t> number(const std::string& name) const {
    const auto value = text(name);
    if (!value) return std::nullopt;
    std::int64_t result = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), result);
    PANTHER_REQUIRE(error == std::errc() && end == value->data() + value->size() && result >= 0 &&
                        result <= std::numeric_limits<int>::max(),
                    "environment variable ", name, "='", *value, "' is not a whole number from 0 to ", std::numeric_limits<int>::max());
    return result;
  }

  /// The first of `names` that is set, or 0 with the names noted as missing.
  int need(Names names) {
    for (const char* name : names)
      if (const auto value = number(name)) return static_cast<int>(*value);
    missing_.push_back(join(names, " or "));
    return 0;
  }
  void miss(std::string what) { missing_.push_back(std::move(what)); }

  /// Throws when `need` missed something.
  void require_whole(std::string_view what, Names known, std::string_view remedy) const {
    if (missing_.empty()) return;
    std::vector<std::string> present;
    for (const char* name : known)
      if (const auto value = text(name)) present.push_back(concat(name, "=", *value));
    fail(ErrorCode::InvalidArgument, "the environment has only a part of ", what, ": ", join(missing_), " missing (set: ", join(present),
         "); ", remedy);
  }

 private:
  const EnvLookup& lookup_;
  std::vector<std::string> missing_;
};

void read_ours(Environment& env, RankFacts& facts) {
  const Names known{"PANTHER_RANK", "PANTHER_WORLD_SIZE", "PANTHER_LOCAL_RANK", "PANTHER_LOCAL_WORLD_SIZE", "PANTHER_NODE_RANK"};
  facts.convention = "panther";
  facts.rank = env.need({"PANTHER_RANK"});
  facts.world_size = env.need({"PANTHER_WORLD_SIZE"});
  if (env.any({"PANTHER_LOCAL_RANK", "PANTHER_LOCAL_WORLD_SIZE"})) {
    facts.local_rank = env.need({"PANTHER_LOCAL_RANK"});
    facts.local_world_size = env.need({"PANTHER_LOCAL_WORLD_SIZE"});
  } else {
    facts.local_rank = facts.rank;
    facts.local_world_size = facts.world_size;
  }
  env.require_whole("Panther's own variables", known, "set them all, or unset PANTHER_RANK and its kin");
  if (const auto node = env.number("PANTHER_NODE_RANK")) facts.node_rank = static_cast<int>(*node);
}

void read_torchrun(Environment& env, RankFacts& facts) {
  const Names known{"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"};
  facts.convention = "torchrun";
  facts.rank = env.need({"RANK"});
  facts.world_size = env.need({"WORLD_SIZE"});
  facts.local_rank = env.need({"LOCAL_RANK"});
  facts.local_world_size = env.need({"LOCAL_WORLD_SIZE"});
  if (facts.world_size > 1 && facts.store_url.empty()) {
    if (!env.has("MASTER_ADDR")) env.miss("MASTER_ADDR");
    if (!env.has("MASTER_PORT")) env.miss("MASTER_PORT");
  }
  env.require_whole("torchrun's variables", known,
                    "set them all (LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 where each rank has a machine to itself), or unset RANK and its kin");
  const auto group = env.number("GROUP_RANK");
  facts.node_rank = group ? static_cast<int>(*group) : facts.rank / std::max(1, facts.local_world_size);
  facts.torchrun_agent_store = env.text("TORCHELASTIC_USE_AGENT_STORE").value_or("") == "True";
}

void read_openmpi(Environment& env, RankFacts& facts) {
  const Names known{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
  facts.convention = "openmpi";
  facts.rank = env.need({"OMPI_COMM_WORLD_RANK"});
  facts.world_size = env.need({"OMPI_COMM_WORLD_SIZE"});
  facts.local_rank = env.need({"OMPI_COMM_WORLD_LOCAL_RANK"});
  facts.local_world_size = env.need({"OMPI_COMM_WORLD_LOCAL_SIZE"});
  env.require_whole("Open MPI's variables", known, "start the program with mpirun, or unset OMPI_COMM_WORLD_RANK and its kin");
  // Open MPI does not tell the node's number; this is right when mpirun places ranks node after node, its default.
  facts.node_rank = facts.rank / std::max(1, facts.local_world_size);
}

/// A number of SLURM_STEP_TASKS_PER_NODE, e.g. "4(x3),2": nodes 0 to 2 have four tasks, node 3 has two. 0 when unreadable.
int slurm_tasks_on_node(std::string_view list, int node) {
  const auto take_number = [&list] {
    int value = 0;
    const auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), value);
    list.remove_prefix(error == std::errc() ? static_cast<std::size_t>(end - list.data()) : list.size());
    return error == std::errc() ? value : 0;
  };
  std::int64_t first = 0;
  while (!list.empty()) {
    const int tasks = take_number();
    int repeat = 1;
    if (list.starts_with("(x")) {
      list.remove_prefix(2);
      repeat = take_number();
      if (!list.starts_with(")")) return 0;
      list.remove_prefix(1);
    }
    if (node >= first && node < first + repeat) return tasks;
    first += repeat;
    if (!list.empty() && list.front() != ',') return 0;
    if (!list.empty()) list.remove_prefix(1);
  }
  return 0;
}

/// True in a task that srun started. A batch script and an interactive allocation have a SLURM_PROCID too, but their step
/// number is absent, a word, or one of Slurm's reserved ones (0xfffffff0 and above), and they are one process of the job, not the job.
bool in_slurm_step(const Environment& env) {
  const auto step = env.text("SLURM_STEP_ID");
  if (!step || !env.has("SLURM_PROCID")) return false;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(step->data(), step->data() + step->size(), number);
  return error == std::errc() && end == step->data() + step->size() && number < 0xfffffff0u;
}

/// Local rank, local size and node, as MPICH's process manager or Slurm tell them.
void read_local_facts(Environment& env, RankFacts& facts) {
  const bool slurm = in_slurm_step(env);
  if (env.any({"MPI_LOCALRANKID", "MPI_LOCALNRANKS"}) || !slurm) {
    facts.local_rank = env.need({"MPI_LOCALRANKID"});
    facts.local_world_size = env.need({"MPI_LOCALNRANKS"});
    facts.node_rank = facts.rank / std::max(1, facts.local_world_size);
    return;
  }
  facts.local_rank = env.need({"SLURM_LOCALID"});
  facts.node_rank = env.need({"SLURM_NODEID"});
  const auto list = env.text("SLURM_STEP_TASKS_PER_NODE").value_or(env.text("SLURM_TASKS_PER_NODE").value_or(""));
  facts.local_world_size = slurm_tasks_on_node(list, facts.node_rank);
  if (list.empty()) {
    env.miss("SLURM_STEP_TASKS_PER_NODE");
  } else {
    PANTHER_REQUIRE(facts.local_world_size > 0, "SLURM_STEP_TASKS_PER_NODE='", list, "' does not say how many tasks node ",
                    facts.node_rank, " (SLURM_NODEID) has");
  }
}

/// PMIx has no variable for the size of the world: under srun it is Slurm's, otherwise the process manager's.
void read_pmi(Environment& env, RankFacts& facts) {
  const Names known{"PMIX_RANK", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS",
                    "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_STEP_TASKS_PER_NODE"};
  facts.convention = env.has("PMIX_RANK") ? "pmix" : "pmi";
  facts.rank = env.need({"PMIX_RANK", "PMI_RANK"});
  facts.world_size = in_slurm_step(env) ? env.need({"PMI_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}) : env.need({"PMI_SIZE"});
  read_local_facts(env, facts);
  env.require_whole(
      "the process manager's variables", known,
      "start the program with mpirun or srun, set PANTHER_RANK and PANTHER_WORLD_SIZE by hand, or unset PMIX_RANK and PMI_RANK");
}

void read_slurm(Environment& env, RankFacts& facts) {
  const Names known{"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_STEP_TASKS_PER_NODE"};
  facts.convention = "slurm";
  facts.rank = env.need({"SLURM_PROCID"});
  facts.world_size = env.need({"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"});
  read_local_facts(env, facts);
  env.require_whole("Slurm's variables of a step", known, "start the program with srun, or unset SLURM_PROCID");
}

/// An indexed Kubernetes Job: one rank per pod. Kubernetes tells a pod its index but not how many there are, nor whom to meet.
void read_kubernetes(Environment& env, RankFacts& facts) {
  const Names known{"JOB_COMPLETION_INDEX", "PANTHER_WORLD_SIZE", "PANTHER_STORE", "MASTER_ADDR", "MASTER_PORT"};
  facts.convention = "kubernetes";
  facts.rank = env.need({"JOB_COMPLETION_INDEX"});
  facts.world_size = env.need({"PANTHER_WORLD_SIZE"});
  facts.node_rank = facts.rank;
  if (facts.world_size > 1 && facts.store_url.empty()) {
    if (!env.has("MASTER_ADDR")) env.miss("PANTHER_STORE or MASTER_ADDR");
    if (!env.has("MASTER_PORT")) env.miss("PANTHER_STORE or MASTER_PORT");
  }
  env.require_whole("what an indexed Job needs", known,
                    "set PANTHER_WORLD_SIZE to the Job's completions and MASTER_ADDR, MASTER_PORT to pod 0 of its headless service");
}

void check_ranges(const RankFacts& facts) {
  PANTHER_REQUIRE(facts.world_size >= 1, "the environment (", facts.convention, ") says a world size of ", facts.world_size,
                  "; it must be at least 1");
  PANTHER_REQUIRE(facts.rank < facts.world_size, "the environment (", facts.convention, ") says rank ", facts.rank, " of a world of ",
                  facts.world_size, "; ranks run from 0 to ", facts.world_size - 1);
  PANTHER_REQUIRE(facts.local_world_size >= 1 && facts.local_world_size <= facts.world_size, "the environment (", facts.convention,
                  ") says ", facts.local_world_size, " ranks on this node in a world of ", facts.world_size);
  PANTHER_REQUIRE(facts.local_rank < facts.local_world_size, "the environment (", facts.convention, ") says local rank ",
                  facts.local_rank, " of ", facts.local_world_size, " on this node; local ranks run from 0 to ",
                  facts.local_world_size - 1);
  PANTHER_REQUIRE(facts.master_port <= 65535, "MASTER_PORT=", facts.master_port, " is not a TCP port (0 to 65535)");
}

std::string job_id(const Environment& env, const RankFacts& facts) {
  for (const char* name : {"PANTHER_JOB_ID", "TORCHELASTIC_RUN_ID"})
    if (const auto id = env.text(name)) return *id;
  if (facts.convention == "openmpi" || facts.convention == "pmix")
    if (const auto id = env.text("PMIX_NAMESPACE")) return *id;
  if (in_slurm_step(env))
    if (const auto id = env.text("SLURM_JOB_ID")) return concat(*id, ".", env.text("SLURM_STEP_ID").value_or("0"));
  return "local";
}

}  // namespace

RankFacts read_rank_facts(const EnvLookup& lookup) {
  Environment env(lookup);
  RankFacts facts;
  facts.store_url = env.text("PANTHER_STORE").value_or("");
  facts.master_addr = env.text("MASTER_ADDR").value_or("");
  facts.master_port = static_cast<int>(env.number("MASTER_PORT").value_or(0));
  const bool indexed_job = env.has("JOB_COMPLETION_INDEX");
  if (env.any({"PANTHER_RANK", "PANTHER_LOCAL_RANK", "PANTHER_LOCAL_WORLD_SIZE"}) || (env.has("PANTHER_WORLD_SIZE") && !indexed_job)) {
    read_ours(env, facts);
  } else if (env.any({"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"})) {
    read_torchrun(env, facts);
  } else if (env.any({"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"})) {
    read_openmpi(env, facts);
  } else if (env.any({"PMIX_RANK", "PMI_RANK", "PMI_SIZE"})) {
    read_pmi(env, facts);
  } else if (in_slurm_step(env)) {
    read_slurm(env, facts);
  } else if (indexed_job) {
    read_kubernetes(env, facts);
  }
  check_ranges(facts);
  for (const char* name : {"PANTHER_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"}) {
    if (const auto count = env.number(name)) {
      facts.restart_count = static_cast<int>(*count);
      break;
    }
  }
  facts.job_id = job_id(env, facts);
  return facts;
}

}  // namespace panther
