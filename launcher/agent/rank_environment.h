#pragma once
// The environment of a local rank. Pure.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace panther::launcher {

struct JobFacts {
  int ranks = 1;
  int store_port = 0;                     ///< of the store this launcher serves on 127.0.0.1
  int master_port = 0;                    ///< left free for the program
  std::string job_id;
  std::string run_id;                     ///< time stamp that all ranks share
  std::filesystem::path run_folder_file;  ///< where the worker tells its run folder
  int attempt = 0;
  int cores = 1;
  int console_columns = 0;                ///< 0: the console is no terminal
};

/// Our names (PANTHER_RANK ...), torchrun's (RANK ... MASTER_PORT), and OMP_NUM_THREADS = cores / ranks unless `inherited` sets it.
/// Only rank 0 is told about the terminal: its standard output is what reaches it.
std::map<std::string, std::string> rank_variables(const JobFacts& job, int rank, const std::vector<std::string>& inherited);

/// `inherited` ("NAME=value") with `variables` in place of what it says about them, sorted by nothing in particular.
std::vector<std::string> with_variables(const std::vector<std::string>& inherited, const std::map<std::string, std::string>& variables);

}  // namespace panther::launcher
