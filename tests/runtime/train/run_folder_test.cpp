// What a run leaves in its folder when it ends with an error.
#include "runtime/train/run_folder.h"

#include <unistd.h>

#include "core/atomic_file.h"

namespace panther::runtime::testing {
namespace {

using ::testing::HasSubstr;

std::string left_by(const RunFolder& folder) { return read_file(folder.error()); }

TEST(NoteError, KeepsTheCauseWhereOthersOnlyLostTheirPeer) {
  const RunFolder folder{std::filesystem::path(::testing::TempDir()) / ("note_error_" + std::to_string(::getpid()))};
  std::filesystem::create_directories(folder.path);
  note_error(folder, 1, Error(ErrorCode::PeerLost, "rank 0 is gone"));
  EXPECT_THAT(left_by(folder), HasSubstr("rank 0 is gone"));
  note_error(folder, 0, Error(ErrorCode::Io, "disk full"));
  for (const ErrorCode code : {ErrorCode::PeerLost, ErrorCode::Timeout}) {
    note_error(folder, 1, Error(code, "rank 0 is gone"));
    EXPECT_EQ(left_by(folder), "{\"code\": \"Io\", \"rank\": 0, \"message\": \"disk full\", \"context\": \"\"}\n");
  }
  std::filesystem::remove_all(folder.path);
  note_error(folder, 0, Error(ErrorCode::Io, "the folder is gone too"));  // does not throw
}

}  // namespace
}  // namespace panther::runtime::testing
