#pragma once
// The worker's subcommands. Each takes the words after its name and returns an exit code; errors are thrown.
#include <string>
#include <vector>

namespace panther::runtime {

using Words = std::vector<std::string>;

int train_command(const Words& words);
int evaluate_command(const Words& words);
/// Writes the mean of several checkpoints as a new one.
int average_command(const Words& words);
int generate_command(const Words& words);
int inspect_command(const Words& words);
int doctor_command(const Words& words);
/// Prints the configuration's schema as JSON.
int schema_command(const Words& words);

}  // namespace panther::runtime
