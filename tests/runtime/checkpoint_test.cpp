// Saving, loading, retention, finding, and what must not be left behind when a save fails.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ATen/detail/CUDAHooksInterface.h>
#include <csignal>

#include "tests/runtime/checkpoint_fixture.h"

namespace panther::runtime::testing {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Checkpoint, LoadsWhatWasSaved) {
  const ScratchFolder scratch;
  const fs::path checkpoints = scratch.path() / "run" / "checkpoints";
  const TrainingState state = sample_state(40);
  CheckpointWriter(checkpoints, {}).save(state);
  EXPECT_EQ(names_in(checkpoints), (std::vector<std::string>{"latest", "step_40"}));
  EXPECT_EQ(latest_target(checkpoints), "step_40");
  const CheckpointInfo info = verify_checkpoint(checkpoints / "step_40");
  EXPECT_EQ(info.step, 40);
  EXPECT_EQ(info.position, 320);
  EXPECT_EQ(info.optimizer_steps, 39);
  EXPECT_EQ(info.nonfinite_skipped, 1);
  EXPECT_EQ(info.seed, state.seed);
  EXPECT_EQ(info.config_hash, state.config_hash);
  EXPECT_EQ(info.config_toml, state.config_toml);
  EXPECT_EQ(info.shape.sequence, 64);
  ASSERT_EQ(info.layers.size(), 1u);
  EXPECT_EQ(info.layers[0].spec.sketch_size, 5);
  EXPECT_EQ(read_file(checkpoints / "step_40" / "config.json"), state.model_json);
  for (const auto& [name, bytes] : info.file_bytes)
    EXPECT_EQ(static_cast<std::int64_t>(fs::file_size(checkpoints / "step_40" / name)), bytes) << name;
  for (const auto* tensors : {&state.model, &state.optimizer}) {
    const NamedTensors loaded = zeros_like(*tensors);
    load_tensors(checkpoints / "step_40" / (tensors == &state.model ? "model.safetensors" : "optimizer.safetensors"), loaded);
    EXPECT_TRUE(same_tensors(loaded, *tensors));
  }
  const auto read = read_tensors(checkpoints / "step_40" / "model.safetensors");
  ASSERT_EQ(read.size(), state.model.size());
  for (const auto& [name, tensor] : state.model) EXPECT_TRUE(at::equal(read.at(name), tensor)) << name;
}

TEST(Checkpoint, LoadsIntoParametersThatRequireGradientsAndOtherFloats) {
  const ScratchFolder scratch;
  CheckpointWriter(scratch.path(), {}).save(sample_state(1));
  NamedTensors into = zeros_like(sample_state(1).model);
  into[0].second = at::zeros({5, 33}, at::kDouble).requires_grad_();
  load_tensors(scratch.path() / "step_1" / "model.safetensors", into);
  EXPECT_TRUE(at::equal(into[0].second.detach(), sample_state(1).model[0].second.to(at::kDouble)));
  EXPECT_TRUE(into[0].second.requires_grad());
}

TEST(Checkpoint, SameStateGivesTheSameBytes) {
  const ScratchFolder a, b;
  CheckpointWriter(a.path(), {}).save(sample_state(9));
  CheckpointWriter(b.path(), {.async = true}).save(sample_state(9));
  ASSERT_EQ(names_in(a.path() / "step_9"), names_in(b.path() / "step_9"));
  for (const std::string& name : names_in(a.path() / "step_9"))
    EXPECT_EQ(read_file(a.path() / "step_9" / name), read_file(b.path() / "step_9" / name)) << name;
}

TEST(Checkpoint, FilesLargerThanAChunkHaveOneSumPerChunk) {
  const ScratchFolder scratch;
  CheckpointWriter(scratch.path(), {}).save(sample_state(2, 70000));  // 9.2 MB of model: three chunks
  EXPECT_GT(verify_checkpoint(scratch.path() / "step_2").file_bytes.at("model.safetensors"), std::int64_t{8} << 20);
  std::string bytes = read_file(scratch.path() / "step_2" / "model.safetensors");
  bytes[5'000'000] = static_cast<char>(bytes[5'000'000] ^ 4);
  overwrite(scratch.path() / "step_2" / "model.safetensors", bytes);
  const Error error = error_of([&] { verify_checkpoint(scratch.path() / "step_2"); });
  EXPECT_EQ(error.code(), ErrorCode::Corrupt);
  EXPECT_THAT(error.message(), HasSubstr("between offset 4194304 and 8388608"));
}

TEST(Checkpoint, RetentionKeepsNewestAndMultiples) {
  const ScratchFolder scratch;
  CheckpointWriter writer(scratch.path(), {.keep = 2, .keep_every = 20});
  for (const std::int64_t step : {10, 20, 30, 40, 50}) writer.save(sample_state(step));
  EXPECT_EQ(names_in(scratch.path()), (std::vector<std::string>{"latest", "step_20", "step_40", "step_50"}));
}

TEST(Checkpoint, SavingAStepAgainReplacesIt) {
  const ScratchFolder scratch;
  CheckpointWriter writer(scratch.path(), {});
  writer.save(sample_state(3));
  overwrite(scratch.path() / "step_3" / "DONE", "");
  TrainingState again = sample_state(3);
  again.position = 777;
  writer.save(again);
  EXPECT_EQ(verify_checkpoint(scratch.path() / "step_3").position, 777);
  EXPECT_EQ(names_in(scratch.path()), (std::vector<std::string>{"latest", "step_3"}));
}

TEST(Checkpoint, ARewoundRunIsNotPushedOutByTheStepsItLeft) {
  const ScratchFolder scratch;
  CheckpointWriter writer(scratch.path(), {.keep = 1});
  writer.save(sample_state(100));
  overwrite(scratch.path() / "step_100" / "model.safetensors", "damaged");
  writer.save(sample_state(50));
  std::vector<SkippedCheckpoint> skipped;
  const auto newest = newest_valid(scratch.path(), skipped);
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->step, 50);
}

TEST(Checkpoint, BackgroundSaveTakesTheValuesOfTheCall) {
  const ScratchFolder scratch;
  CheckpointWriter writer(scratch.path(), {.async = true});
  const TrainingState state = sample_state(4, 20000);
  writer.save(state);
  for (const auto& [name, tensor] : state.model) tensor.zero_();
  for (const auto& [name, tensor] : state.optimizer) tensor.zero_();
  writer.finish();
  verify_checkpoint(scratch.path() / "step_4");
  const NamedTensors loaded = zeros_like(state.model);
  load_tensors(scratch.path() / "step_4" / "model.safetensors", loaded);
  EXPECT_TRUE(same_tensors(loaded, sample_state(4, 20000).model));
}

TEST(Checkpoint, BackgroundFailureSurfacesAtTheNextCallAndOnce) {
  const ScratchFolder scratch;
  overwrite(scratch.path() / "file", "in the way");
  CheckpointWriter writer(scratch.path() / "file" / "checkpoints", {.async = true});
  writer.save(sample_state(1));
  EXPECT_EQ(error_of([&] { writer.save(sample_state(2)); }).code(), ErrorCode::Io);
  EXPECT_NO_THROW(writer.finish());
  writer.save(sample_state(3));
  EXPECT_EQ(error_of([&] { writer.finish(); }).code(), ErrorCode::Io);
}

TEST(Checkpoint, NewestValidSaysWhatItPassedOver) {
  const ScratchFolder scratch;
  std::vector<SkippedCheckpoint> skipped;
  EXPECT_FALSE(newest_valid(scratch.path() / "nowhere", skipped));
  EXPECT_FALSE(newest_valid(scratch.path(), skipped));
  CheckpointWriter writer(scratch.path(), {.keep = 9});
  for (const std::int64_t step : {1, 2, 3, 10}) writer.save(sample_state(step));
  fs::resize_file(scratch.path() / "step_10" / "optimizer.safetensors", 100);
  fs::remove(scratch.path() / "step_3" / "DONE");
  const auto newest = newest_valid(scratch.path(), skipped);
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->folder, scratch.path() / "step_2");
  ASSERT_EQ(skipped.size(), 2u);
  EXPECT_EQ(skipped[0].folder, scratch.path() / "step_10");
  EXPECT_THAT(skipped[0].why, HasSubstr("optimizer.safetensors' has 100 bytes"));
  EXPECT_THAT(skipped[1].why, HasSubstr("never finished"));
}

TEST(Checkpoint, ResolvesWhateverPeopleName) {
  const ScratchFolder scratch;
  const fs::path run = fs::canonical(scratch.path()) / "run";
  CheckpointWriter writer(run / "checkpoints", {});
  for (const std::int64_t step : {8, 12}) writer.save(sample_state(step));
  const fs::path newest = run / "checkpoints" / "step_12";
  for (const fs::path& given : {run, run / "checkpoints", run / "checkpoints" / "latest", newest, newest / "model.safetensors"})
    EXPECT_EQ(resolve_checkpoint(given), newest) << given;
  EXPECT_EQ(resolve_checkpoint(run / "checkpoints" / "step_8"), run / "checkpoints" / "step_8");
  fs::remove(newest / "DONE");
  EXPECT_EQ(resolve_checkpoint(run), run / "checkpoints" / "step_8");
  const Error absent = error_of([&] { resolve_checkpoint(run / "nowhere"); });
  EXPECT_EQ(absent.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(absent.message(), HasSubstr("nowhere"));
  fs::remove(run / "checkpoints" / "step_8" / "DONE");
  EXPECT_THAT(error_of([&] { resolve_checkpoint(run); }).message(), HasSubstr("unfinished checkpoints only: step 8, 12"));
}

TEST(Checkpoint, MisfitListsEveryNameWithBothShapesAndWritesNothing) {
  const ScratchFolder scratch;
  CheckpointWriter(scratch.path(), {}).save(sample_state(1));
  NamedTensors into = zeros_like(sample_state(1).model);
  into[0].second = at::zeros({6, 33});
  into[1].first = "blocks.0.renamed";
  into[6].second = at::zeros({3});
  const Error error = error_of([&] { load_tensors(scratch.path() / "step_1" / "model.safetensors", into); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.message(), HasSubstr("blocks.0.s1: the file has (5, 33), the model wants (6, 33)"));
  EXPECT_THAT(error.message(), HasSubstr("blocks.0.renamed: the file has none, the model wants (7, 3)"));
  EXPECT_THAT(error.message(), HasSubstr("blocks.0.transposed: the file has (7, 3), the model has none"));
  EXPECT_THAT(error.message(), HasSubstr("mask: the file has u8, the model wants f32"));
  EXPECT_EQ(into[2].second.to(at::kFloat).abs().sum().item<float>(), 0.0f);
}

TEST(Checkpoint, DeadWritersLeftoversGoAndLiveOnesStay) {
  const ScratchFolder scratch;
  fs::create_directories(scratch.path() / ".tmp_step_7_1");
  overwrite(scratch.path() / ".tmp_step_7_1" / "model.safetensors", "half");
  fs::create_symlink("step_7", scratch.path() / "latest.tmp.1.0");
  const fs::path live = scratch.path() / ".tmp_step_8_2";
  fs::create_directories(live);
  const int lock = ::open(live.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  CheckpointWriter writer(scratch.path(), {});
  writer.save(sample_state(9));
  EXPECT_EQ(names_in(scratch.path()), (std::vector<std::string>{".tmp_step_8_2", "latest", "step_9"}));
  ::close(lock);
  writer.save(sample_state(10));
  EXPECT_EQ(names_in(scratch.path()), (std::vector<std::string>{"latest", "step_10", "step_9"}));
}

TEST(Checkpoint, UnwritableFolderIsIoAndNamesIt) {
  const ScratchFolder scratch;
  overwrite(scratch.path() / "checkpoints", "a file");
  const Error error = error_of([&] { CheckpointWriter(scratch.path() / "checkpoints", {}).save(sample_state(1)); });
  EXPECT_EQ(error.code(), ErrorCode::Io);
  EXPECT_THAT(error.what(), HasSubstr((scratch.path() / "checkpoints").string()));
  EXPECT_THAT(error.what(), HasSubstr("step 1"));
}

void expect_failed_save_leaves_the_old(const fs::path& checkpoints, CheckpointWriter& writer, std::int64_t rows) {
  const Error error = error_of([&] { writer.save(sample_state(2, rows)); });
  EXPECT_EQ(error.code(), ErrorCode::Io);
  EXPECT_THAT(error.what(), HasSubstr("the latest one is still step_1"));
  EXPECT_EQ(names_in(checkpoints), (std::vector<std::string>{"latest", "step_1"}));
  EXPECT_EQ(latest_target(checkpoints), "step_1");
  EXPECT_EQ(verify_checkpoint(checkpoints / "step_1").step, 1);
}

TEST(Checkpoint, FullDiskKeepsTheOldOne) {
  const ScratchFolder scratch;
  if (::mount("none", scratch.path().c_str(), "tmpfs", 0, "size=1m") != 0) GTEST_SKIP() << "may not mount a small tmpfs here";
  {
    CheckpointWriter writer(scratch.path(), {});
    writer.save(sample_state(1));
    expect_failed_save_leaves_the_old(scratch.path(), writer, 20000);
    writer.save(sample_state(3));
    EXPECT_EQ(latest_target(scratch.path()), "step_3");
  }
  EXPECT_EQ(::umount2(scratch.path().c_str(), MNT_DETACH), 0);
}

TEST(Checkpoint, FileSizeLimitKeepsTheOldOne) {
  const ScratchFolder scratch;
  CheckpointWriter writer(scratch.path(), {});
  writer.save(sample_state(1));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  for (const rlim_t limit : {rlim_t{100'000}, rlim_t{1'000}, rlim_t{60}}) {
    small.rlim_cur = limit;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    expect_failed_save_leaves_the_old(scratch.path(), writer, limit > 1000 ? 20000 : 5);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  }
  std::signal(SIGXFSZ, handler);
  writer.save(sample_state(2));
  EXPECT_EQ(latest_target(scratch.path()), "step_2");
}

TEST(Checkpoint, BadModelJsonIsRefusedBeforeAnythingIsWritten) {
  const ScratchFolder scratch;
  TrainingState state = sample_state(1);
  state.model_json = "[1]";
  EXPECT_EQ(error_of([&] { CheckpointWriter(scratch.path() / "c", {}).save(state); }).code(), ErrorCode::InvalidArgument);
  EXPECT_FALSE(fs::exists(scratch.path() / "c"));
}

TEST(Checkpoint, CudaTensorsAreCopiedToTheHost) {
  if (at::detail::getCUDAHooks().deviceCount() == 0) GTEST_SKIP() << "no CUDA device";
  const ScratchFolder scratch;
  const TrainingState state = sample_state(5);
  TrainingState on_device = state;
  for (auto& [name, tensor] : on_device.model) tensor = tensor.to(at::kCUDA);
  for (const bool async : {false, true}) {
    const fs::path folder = scratch.path() / (async ? "async" : "sync");
    CheckpointWriter(folder, {.async = async}).save(on_device);
    EXPECT_EQ(verify_checkpoint(folder / "step_5").step, 5);
    const NamedTensors loaded = zeros_like(on_device.model);
    load_tensors(folder / "step_5" / "model.safetensors", loaded);
    for (std::size_t i = 0; i < loaded.size(); ++i) EXPECT_TRUE(at::equal(loaded[i].second.cpu(), state.model[i].second));
  }
}

}  // namespace
}  // namespace panther::runtime::testing
