#include "launcher/agent/log_store.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/atomic_file.h"
#include "core/scratch_folder.h"

namespace panther::launcher {
namespace {

namespace fs = std::filesystem;

class LogStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(root_ / "spool"); }
  ScratchFolder root_;
};

TEST_F(LogStoreTest, WhatCameBeforeTheRunFolderWasKnownMovesThere) {
  LogStore logs(root_ / "spool", 2);
  logs.append(0, Channel::out, "before ");
  logs.append(1, Channel::err, "early");
  EXPECT_FALSE(logs.settled());
  logs.settle(root_ / "run");
  EXPECT_TRUE(logs.settled());
  logs.append(0, Channel::out, "after");
  logs.settle(root_ / "elsewhere");
  const fs::path folder = root_ / "run" / "logs" / "attempt_0";
  EXPECT_EQ(logs.folder(), folder);
  EXPECT_EQ(read_file(folder / "rank_0.out"), "before after");
  EXPECT_EQ(read_file(folder / "rank_0.err"), "");
  EXPECT_EQ(read_file(folder / "rank_1.err"), "early");
  EXPECT_FALSE(fs::exists(root_ / "elsewhere"));
}

TEST_F(LogStoreTest, EveryAttemptHasItsOwnFolder) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    LogStore logs(root_ / "spool", 1);
    logs.settle(root_ / "run");
    EXPECT_EQ(logs.folder().filename(), fs::path("attempt_" + std::to_string(attempt)));
  }
}

TEST_F(LogStoreTest, AFolderThatCannotBeMadeIsNotFatal) {
  write_file_atomic(root_ / "file", "in the way");
  LogStore logs(root_ / "spool", 1);
  logs.append(0, Channel::out, "kept");
  logs.settle(root_ / "file");
  EXPECT_FALSE(logs.settled());
  logs.append(0, Channel::out, " here");
  EXPECT_EQ(read_file(root_ / "spool" / "rank_0.out"), "kept here");
}

}  // namespace
}  // namespace panther::launcher
