#include "launcher/agent/rank_environment.h"

#include <algorithm>

#include "core/text.h"

namespace panther::launcher {

namespace {

std::string name_of(const std::string& assignment) { return assignment.substr(0, assignment.find('=')); }

bool sets(const std::vector<std::string>& environment, const std::string& name) {
  return std::any_of(environment.begin(), environment.end(), [&](const std::string& each) { return name_of(each) == name; });
}

}  // namespace

std::map<std::string, std::string> rank_variables(const JobFacts& job, int rank, const std::vector<std::string>& inherited) {
  const std::string own = concat(rank);
  const std::string all = concat(job.ranks);
  std::map<std::string, std::string> variables{
      {"PANTHER_RANK", own}, {"PANTHER_WORLD_SIZE", all}, {"PANTHER_LOCAL_RANK", own}, {"PANTHER_LOCAL_WORLD_SIZE", all},
      {"PANTHER_NODE_RANK", "0"}, {"PANTHER_STORE", concat("tcp://127.0.0.1:", job.store_port)}, {"PANTHER_JOB_ID", job.job_id},
      {"PANTHER_RUN_ID", job.run_id}, {"PANTHER_RUN_FOLDER_FILE", job.run_folder_file.string()},
      {"PANTHER_RESTART_COUNT", concat(job.attempt)},
      {"RANK", own}, {"LOCAL_RANK", own}, {"WORLD_SIZE", all}, {"LOCAL_WORLD_SIZE", all}, {"GROUP_RANK", "0"},
      {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", concat(job.master_port)}};
  if (!sets(inherited, "OMP_NUM_THREADS")) variables.insert_or_assign("OMP_NUM_THREADS", concat(std::max(1, job.cores / std::max(1, job.ranks))));
  if (rank == 0 && job.console_columns > 0) {
    variables.insert_or_assign("PANTHER_CONSOLE_TTY", "1");
    variables.insert_or_assign("COLUMNS", concat(job.console_columns));
  }
  return variables;
}

std::vector<std::string> with_variables(const std::vector<std::string>& inherited, const std::map<std::string, std::string>& variables) {
  std::vector<std::string> out;
  for (const std::string& assignment : inherited)
    if (!variables.contains(name_of(assignment))) out.push_back(assignment);
  for (const auto& [name, value] : variables) out.push_back(concat(name, "=", value));
  return out;
}

}  // namespace panther::launcher
