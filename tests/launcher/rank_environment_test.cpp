#include "launcher/agent/rank_environment.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/env.h"

namespace panther::launcher {
namespace {

const JobFacts kJob{.ranks = 4, .store_port = 4000, .master_port = 5000, .job_id = "job", .run_id = "now", .run_folder_file = "/tmp/f",
                    .attempt = 2, .cores = 10, .console_columns = 99};

TEST(RankEnvironment, IsReadBackAsTheRankItWasMadeFor) {
  const auto variables = rank_variables(kJob, 3, {});
  const auto lookup = [&](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  const RankFacts facts = read_rank_facts(lookup);
  EXPECT_EQ(facts.convention, "panther");
  EXPECT_EQ(facts.rank, 3);
  EXPECT_EQ(facts.world_size, 4);
  EXPECT_EQ(facts.local_rank, 3);
  EXPECT_EQ(facts.local_world_size, 4);
  EXPECT_EQ(facts.node_rank, 0);
  EXPECT_EQ(facts.store_url, "tcp://127.0.0.1:4000");
  EXPECT_EQ(facts.master_addr, "127.0.0.1");
  EXPECT_EQ(facts.master_port, 5000);
  EXPECT_EQ(facts.job_id, "job");
  EXPECT_EQ(facts.restart_count, 2);
}

TEST(RankEnvironment, SpeaksTorchrunToo) {
  auto variables = rank_variables(kJob, 1, {});
  std::erase_if(variables, [](const auto& each) { return each.first.starts_with("PANTHER_"); });
  const RankFacts facts = read_rank_facts([&](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
  });
  EXPECT_EQ(facts.convention, "torchrun");
  EXPECT_EQ(facts.rank, 1);
  EXPECT_EQ(facts.world_size, 4);
}

TEST(RankEnvironment, ThreadsAreSharedOutUnlessSet) {
  EXPECT_EQ(rank_variables(kJob, 0, {}).at("OMP_NUM_THREADS"), "2");
  EXPECT_FALSE(rank_variables(kJob, 0, {"OMP_NUM_THREADS=7"}).contains("OMP_NUM_THREADS"));
  JobFacts many = kJob;
  many.ranks = 64;
  EXPECT_EQ(rank_variables(many, 0, {}).at("OMP_NUM_THREADS"), "1");
}

TEST(RankEnvironment, OnlyRankZeroHearsOfTheTerminal) {
  EXPECT_EQ(rank_variables(kJob, 0, {}).at("PANTHER_CONSOLE_TTY"), "1");
  EXPECT_EQ(rank_variables(kJob, 0, {}).at("COLUMNS"), "99");
  EXPECT_FALSE(rank_variables(kJob, 1, {}).contains("PANTHER_CONSOLE_TTY"));
  JobFacts piped = kJob;
  piped.console_columns = 0;
  EXPECT_FALSE(rank_variables(piped, 0, {}).contains("PANTHER_CONSOLE_TTY"));
}

TEST(RankEnvironment, VariablesReplaceWhatIsInherited) {
  auto merged = with_variables({"A=1", "RANK=9", "B=x=y", "RANKS=5"}, {{"RANK", "0"}, {"C", ""}});
  std::sort(merged.begin(), merged.end());
  EXPECT_EQ(merged, (std::vector<std::string>{"A=1", "B=x=y", "C=", "RANK=0", "RANKS=5"}));
}

}  // namespace
}  // namespace panther::launcher
