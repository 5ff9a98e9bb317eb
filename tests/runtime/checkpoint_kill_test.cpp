// A writer killed at any moment leaves a valid newest checkpoint, and its leftovers vanish with the next save.
#include <sys/wait.h>
#include <unistd.h>

#include <ATen/Parallel.h>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "tests/runtime/checkpoint_fixture.h"

namespace panther::runtime::testing {
namespace {

/// Saves steps first, first + 1, ... until killed.
[[noreturn]] void save_for_ever(const fs::path& folder, std::int64_t first) {
  at::set_num_threads(1);
  CheckpointWriter writer(folder, {.keep = 2});
  for (std::int64_t step = first;; ++step) writer.save(sample_state(step, 2000));
}

TEST(CheckpointKill, NewestIsValidAfterAKillAtAnyMoment) {
  at::set_num_threads(1);
  const ScratchFolder scratch;
  CheckpointWriter(scratch.path(), {}).save(sample_state(1, 2000));
  std::mt19937_64 random(11);
  std::int64_t newest = 1;
  int killed_inside = 0;
  for (int round = 0; round < 120; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) save_for_ever(scratch.path(), newest + 1);
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 15'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself with " << WEXITSTATUS(status);
    for (const auto& entry : fs::directory_iterator(scratch.path())) killed_inside += entry.path().filename().string().starts_with(".tmp_");
    std::vector<SkippedCheckpoint> skipped;
    const auto info = newest_valid(scratch.path(), skipped);
    ASSERT_TRUE(info) << "round " << round;
    ASSERT_TRUE(skipped.empty()) << skipped[0].folder << ": " << skipped[0].why;
    ASSERT_GE(info->step, newest) << "round " << round;
    newest = info->step;
    const NamedTensors expected = sample_state(newest, 2000).model;
    const NamedTensors loaded = zeros_like(expected);
    load_tensors(info->folder / "model.safetensors", loaded);
    ASSERT_TRUE(same_tensors(loaded, expected)) << "round " << round;
  }
  EXPECT_GT(killed_inside, 0) << "no kill fell inside a save: the test proves nothing";
  RecordProperty("killed_inside_a_save", killed_inside);
  CheckpointWriter(scratch.path(), {.keep = 2}).save(sample_state(newest + 1, 2000));
  for (const auto& entry : fs::directory_iterator(scratch.path()))
    EXPECT_FALSE(entry.path().filename().string().find("tmp") != std::string::npos) << entry.path();
}

}  // namespace
}  // namespace panther::runtime::testing
