#include "core/env.h"

#include <gtest/gtest.h>

#include <map>

#include "case_name.h"
#include "expect_error.h"

namespace panther {
namespace {

using test::expect_error;
using Vars = std::map<std::string, std::string>;

RankFacts facts_of(const Vars& vars) {
  return read_rank_facts([&](const std::string& name) -> std::optional<std::string> {
    const auto found = vars.find(name);
    return found == vars.end() ? std::nullopt : std::optional(found->second);
  });
}

Vars operator+(Vars a, const Vars& b) {
  for (const auto& [name, value] : b) a[name] = value;
  return a;
}

Vars without(Vars vars, const std::string& name) {
  vars.erase(name);
  return vars;
}

const Vars kOurs{{"PANTHER_RANK", "3"},
                 {"PANTHER_WORLD_SIZE", "8"},
                 {"PANTHER_LOCAL_RANK", "1"},
                 {"PANTHER_LOCAL_WORLD_SIZE", "2"},
                 {"PANTHER_NODE_RANK", "1"}};
const Vars kTorchrun{{"RANK", "5"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "4"}, {"GROUP_RANK", "1"},
                     {"MASTER_ADDR", "node0"}, {"MASTER_PORT", "29500"}};
// What mpirun of Open MPI 4.1 and mpiexec of MPICH 4.0 really set.
const Vars kOpenMpi{{"OMPI_COMM_WORLD_RANK", "1"},       {"OMPI_COMM_WORLD_SIZE", "2"},      {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                    {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}, {"OMPI_COMM_WORLD_NODE_RANK", "1"}, {"PMIX_RANK", "1"},
                    {"PMIX_NAMESPACE", "576126977"}};
const Vars kHydra{{"PMI_RANK", "2"}, {"PMI_SIZE", "4"}, {"PMI_FD", "6"}, {"MPI_LOCALRANKID", "0"}, {"MPI_LOCALNRANKS", "2"}};
const Vars kSrun{{"SLURM_JOB_ID", "77"},        {"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "5"}, {"SLURM_NTASKS", "7"},
                 {"SLURM_STEP_NUM_TASKS", "7"}, {"SLURM_LOCALID", "1"}, {"SLURM_NODEID", "2"}, {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"}};

TEST(RankFactsTest, NothingSetIsAWorldOfOne) {
  const RankFacts facts = facts_of({});
  EXPECT_EQ(facts.rank, 0);
  EXPECT_EQ(facts.world_size, 1);
  EXPECT_EQ(facts.local_world_size, 1);
  EXPECT_EQ(facts.convention, "none");
  EXPECT_EQ(facts.job_id, "local");
  EXPECT_FALSE(facts.mpi_launched());
}

TEST(RankFactsTest, Ours) {
  const RankFacts facts =
      facts_of(kOurs + Vars{{"PANTHER_STORE", "tcp://127.0.0.1:4000"}, {"PANTHER_JOB_ID", "j7"}, {"PANTHER_RESTART_COUNT", "2"}});
  EXPECT_EQ(facts.convention, "panther");
  EXPECT_EQ(facts.rank, 3);
  EXPECT_EQ(facts.world_size, 8);
  EXPECT_EQ(facts.local_rank, 1);
  EXPECT_EQ(facts.local_world_size, 2);
  EXPECT_EQ(facts.node_rank, 1);
  EXPECT_EQ(facts.store_url, "tcp://127.0.0.1:4000");
  EXPECT_EQ(facts.job_id, "j7");
  EXPECT_EQ(facts.restart_count, 2);
  const RankFacts short_form = facts_of({{"PANTHER_RANK", "1"}, {"PANTHER_WORLD_SIZE", "2"}});
  EXPECT_EQ(short_form.local_rank, 1) << "without the local pair all ranks are on this machine";
  EXPECT_EQ(short_form.local_world_size, 2);
}

TEST(RankFactsTest, Torchrun) {
  const RankFacts facts = facts_of(
      kTorchrun + Vars{{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RUN_ID", "run"}, {"TORCHELASTIC_RESTART_COUNT", "1"}});
  EXPECT_EQ(facts.convention, "torchrun");
  EXPECT_EQ(facts.rank, 5);
  EXPECT_EQ(facts.local_rank, 1);
  EXPECT_EQ(facts.local_world_size, 4);
  EXPECT_EQ(facts.node_rank, 1);
  EXPECT_EQ(facts.master_addr, "node0");
  EXPECT_EQ(facts.master_port, 29500);
  EXPECT_TRUE(facts.torchrun_agent_store);
  EXPECT_EQ(facts.job_id, "run");
  EXPECT_EQ(facts.restart_count, 1);
  EXPECT_FALSE(facts_of(kTorchrun).torchrun_agent_store);
  EXPECT_EQ(facts_of(without(kTorchrun, "GROUP_RANK")).node_rank, 1) << "from the rank and the ranks per node";
}

TEST(RankFactsTest, OpenMpi) {
  const RankFacts facts = facts_of(kOpenMpi);
  EXPECT_EQ(facts.convention, "openmpi");
  EXPECT_EQ(facts.rank, 1);
  EXPECT_EQ(facts.local_world_size, 2);
  EXPECT_EQ(facts.node_rank, 0) << "OMPI_COMM_WORLD_NODE_RANK is a rank within the node, not the node's number";
  EXPECT_EQ(facts.job_id, "576126977");
  EXPECT_TRUE(facts.mpi_launched());
}

TEST(RankFactsTest, Hydra) {
  const RankFacts facts = facts_of(kHydra);
  EXPECT_EQ(facts.convention, "pmi");
  EXPECT_EQ(facts.rank, 2);
  EXPECT_EQ(facts.world_size, 4);
  EXPECT_EQ(facts.local_rank, 0);
  EXPECT_EQ(facts.node_rank, 1);
  EXPECT_TRUE(facts.mpi_launched());
}

TEST(RankFactsTest, SrunStep) {
  const RankFacts facts = facts_of(kSrun);
  EXPECT_EQ(facts.convention, "slurm");
  EXPECT_EQ(facts.rank, 5);
  EXPECT_EQ(facts.world_size, 7);
  EXPECT_EQ(facts.local_rank, 1);
  EXPECT_EQ(facts.local_world_size, 2);
  EXPECT_EQ(facts.node_rank, 2);
  EXPECT_EQ(facts.job_id, "77.0");
  EXPECT_FALSE(facts.mpi_launched());
  EXPECT_EQ(facts_of(kSrun + Vars{{"SLURM_PROCID", "6"}, {"SLURM_NODEID", "3"}, {"SLURM_LOCALID", "0"}}).local_world_size, 1);
}

TEST(RankFactsTest, SrunWithPmix) {
  const RankFacts facts = facts_of(kSrun + Vars{{"PMIX_RANK", "5"}, {"PMIX_NAMESPACE", "slurm.pmix.77.0"}});
  EXPECT_EQ(facts.convention, "pmix");
  EXPECT_EQ(facts.rank, 5);
  EXPECT_EQ(facts.world_size, 7) << "PMIx has no variable for it, Slurm has";
  EXPECT_EQ(facts.local_rank, 1);
  EXPECT_TRUE(facts.mpi_launched());
}

TEST(RankFactsTest, OutsideAStepSlurmSaysNothing) {
  for (const std::string step : {"", "batch", "interactive", "4294967290", "4294967291"})
    EXPECT_EQ(facts_of(kSrun + Vars{{"SLURM_STEP_ID", step}}).convention, "none") << step;
  EXPECT_EQ(facts_of(without(kSrun, "SLURM_STEP_ID")).world_size, 1);
}

TEST(RankFactsTest, IndexedKubernetesJob) {
  const Vars vars{{"JOB_COMPLETION_INDEX", "2"}, {"PANTHER_WORLD_SIZE", "3"}, {"MASTER_ADDR", "job-0.svc"}, {"MASTER_PORT", "29500"}};
  const RankFacts facts = facts_of(vars);
  EXPECT_EQ(facts.convention, "kubernetes");
  EXPECT_EQ(facts.rank, 2);
  EXPECT_EQ(facts.world_size, 3);
  EXPECT_EQ(facts.local_rank, 0);
  EXPECT_EQ(facts.node_rank, 2);
  expect_error(ErrorCode::InvalidArgument, {"PANTHER_WORLD_SIZE missing", "completions"}, [&] {
    facts_of({{"JOB_COMPLETION_INDEX", "0"}});
  });
  expect_error(ErrorCode::InvalidArgument, {"PANTHER_STORE or MASTER_ADDR"}, [&] { facts_of(without(vars, "MASTER_ADDR")); });
  EXPECT_EQ(facts_of(without(without(vars, "MASTER_ADDR"), "MASTER_PORT") + Vars{{"PANTHER_STORE", "file:///shared/job"}}).rank, 2);
}

TEST(RankFactsTest, FirstMatchWins) {
  Vars vars = kSrun + Vars{{"JOB_COMPLETION_INDEX", "0"}};
  EXPECT_EQ(facts_of(vars).convention, "slurm");
  vars = vars + kHydra;
  EXPECT_EQ(facts_of(vars).convention, "pmi");
  vars = vars + kOpenMpi;
  EXPECT_EQ(facts_of(vars).convention, "openmpi");
  vars = vars + kTorchrun;
  EXPECT_EQ(facts_of(vars).convention, "torchrun");
  vars = vars + kOurs;
  EXPECT_EQ(facts_of(vars).convention, "panther");
  EXPECT_FALSE(facts_of(vars).mpi_launched()) << "our launcher's ranks must not form an MPI world of their own";
}

TEST(RankFactsTest, AMasterAddressAloneSelectsNothing) {
  EXPECT_EQ(facts_of({{"MASTER_ADDR", "node0"}, {"MASTER_PORT", "29500"}}).convention, "none");
  const RankFacts facts = facts_of(kSrun + Vars{{"MASTER_ADDR", "node0"}, {"MASTER_PORT", "29500"}});
  EXPECT_EQ(facts.convention, "slurm");
  EXPECT_EQ(facts.master_addr, "node0");
}

TEST(RankFactsTest, EmptyValuesCountAsAbsent) { EXPECT_EQ(facts_of({{"RANK", ""}, {"PANTHER_RANK", ""}}).convention, "none"); }

struct Partial {
  Vars whole;
  std::string missing;
};
void PrintTo(const Partial& value, std::ostream* out) { *out << test::case_name(value.missing); }
class PartialSets : public testing::TestWithParam<Partial> {};

TEST_P(PartialSets, AreErrorsThatNameWhatIsMissing) {
  expect_error(ErrorCode::InvalidArgument, {GetParam().missing, "missing", "(set: "},
               [&] { facts_of(without(GetParam().whole, GetParam().missing)); });
}

INSTANTIATE_TEST_SUITE_P(Each, PartialSets,
                         testing::Values(Partial{kOurs, "PANTHER_RANK"}, Partial{kOurs, "PANTHER_WORLD_SIZE"},
                                         Partial{kOurs, "PANTHER_LOCAL_RANK"}, Partial{kOurs, "PANTHER_LOCAL_WORLD_SIZE"},
                                         Partial{kTorchrun, "RANK"}, Partial{kTorchrun, "WORLD_SIZE"}, Partial{kTorchrun, "LOCAL_RANK"},
                                         Partial{kTorchrun, "LOCAL_WORLD_SIZE"}, Partial{kTorchrun, "MASTER_ADDR"},
                                         Partial{kTorchrun, "MASTER_PORT"}, Partial{kOpenMpi, "OMPI_COMM_WORLD_RANK"},
                                         Partial{kOpenMpi, "OMPI_COMM_WORLD_SIZE"}, Partial{kOpenMpi, "OMPI_COMM_WORLD_LOCAL_RANK"},
                                         Partial{kOpenMpi, "OMPI_COMM_WORLD_LOCAL_SIZE"}, Partial{kHydra, "PMI_RANK"},
                                         Partial{kHydra, "PMI_SIZE"}, Partial{kHydra, "MPI_LOCALRANKID"},
                                         Partial{kHydra, "MPI_LOCALNRANKS"}, Partial{kSrun, "SLURM_LOCALID"},
                                         Partial{kSrun, "SLURM_NODEID"}, Partial{kSrun, "SLURM_STEP_TASKS_PER_NODE"}));

struct Wrong {
  Vars vars;
  std::string text;
};
void PrintTo(const Wrong& value, std::ostream* out) { *out << test::case_name(value.text); }
class WrongValues : public testing::TestWithParam<Wrong> {};

TEST_P(WrongValues, AreErrorsThatNameTheValue) {
  expect_error(ErrorCode::InvalidArgument, {GetParam().text}, [&] { facts_of(GetParam().vars); });
}

INSTANTIATE_TEST_SUITE_P(Each, WrongValues,
                         testing::Values(Wrong{kTorchrun + Vars{{"RANK", "8"}}, "rank 8 of a world of 8"},
                                         Wrong{kTorchrun + Vars{{"RANK", "-1"}}, "RANK='-1'"},
                                         Wrong{kTorchrun + Vars{{"WORLD_SIZE", "two"}}, "WORLD_SIZE='two'"},
                                         Wrong{kTorchrun + Vars{{"WORLD_SIZE", "0"}, {"RANK", "0"}}, "world size of 0"},
                                         Wrong{kTorchrun + Vars{{"LOCAL_RANK", "4"}}, "local rank 4 of 4"},
                                         Wrong{kTorchrun + Vars{{"LOCAL_WORLD_SIZE", "9"}}, "9 ranks on this node in a world of 8"},
                                         Wrong{kTorchrun + Vars{{"MASTER_PORT", "70000"}}, "MASTER_PORT=70000"},
                                         Wrong{kOurs + Vars{{"PANTHER_RANK", "99999999999"}}, "PANTHER_RANK='99999999999'"},
                                         Wrong{kSrun + Vars{{"SLURM_STEP_TASKS_PER_NODE", "2"}}, "does not say how many tasks node 2"},
                                         Wrong{kSrun + Vars{{"SLURM_STEP_TASKS_PER_NODE", "2(y3"}}, "SLURM_STEP_TASKS_PER_NODE='2(y3'"}));

}  // namespace
}  // namespace panther
