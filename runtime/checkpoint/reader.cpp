#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/atomic_file.h"
#include "core/crc32c.h"
#include "core/error.h"
#include "core/log.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/manifest.h"
#include "runtime/checkpoint/step_folder.h"

namespace panther::runtime {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kRemedy = "; use another checkpoint";

/// Plain reads, not a mapping: a file that shrinks meanwhile is then an error, not a SIGBUS.
class InputFile {
 public:
  explicit InputFile(const fs::path& path) : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0 && errno == ENOENT) fail(ErrorCode::Corrupt, "'", path.string(), "' is missing", kRemedy);
    if (fd_ < 0) fail_io("open");
  }
  ~InputFile() { ::close(fd_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::int64_t bytes() const {
    struct stat facts {};
    if (::fstat(fd_, &facts) != 0) fail_io("read");
    return facts.st_size;
  }
  /// The next bytes, fewer than asked only at the end.
  std::span<const std::byte> next(std::vector<std::byte>& buffer, std::size_t count) const {
    buffer.resize(count);
    std::size_t got = 0;
    while (got < count) {
      const ssize_t part = ::read(fd_, buffer.data() + got, count - got);
      if (part < 0 && errno == EINTR) continue;
      if (part < 0) fail_io("read");
      if (part == 0) break;
      got += static_cast<std::size_t>(part);
    }
    return {buffer.data(), got};
  }

 private:
  [[noreturn]] void fail_io(std::string_view doing) const {
    fail(ErrorCode::Io, "cannot ", doing, " '", path_.string(), "': ", std::strerror(errno), "; check the permissions and the disk");
  }
  fs::path path_;
  int fd_;
};

void verify_file(const fs::path& folder, const FileSums& expected) {
  const fs::path path = folder / expected.name;
  const InputFile file(path);
  const std::int64_t bytes = file.bytes();
  if (bytes != expected.bytes)
    fail(ErrorCode::Corrupt, "'", path.string(), "' has ", bytes, " bytes, its manifest says ", expected.bytes, ": it is ",
         bytes < expected.bytes ? "truncated at offset " : "too long from offset ", std::min(bytes, expected.bytes), kRemedy);
  std::vector<std::byte> buffer;
  for (std::size_t i = 0; i < expected.chunks.size(); ++i) {
    const std::int64_t offset = static_cast<std::int64_t>(i) * expected.chunk_bytes;
    const std::int64_t count = std::min(expected.chunk_bytes, expected.bytes - offset);
    const auto chunk = file.next(buffer, static_cast<std::size_t>(count));
    if (static_cast<std::int64_t>(chunk.size()) != count || crc32c(chunk) != expected.chunks[i])
      fail(ErrorCode::Corrupt, "'", path.string(), "' is damaged between offset ", offset, " and ", offset + count,
           " (its CRC-32C is not the manifest's)", kRemedy);
  }
}

/// A small file whole; Corrupt when absent.
std::string text_of(const fs::path& path) {
  const InputFile file(path);
  std::vector<std::byte> buffer;
  const auto bytes = file.next(buffer, static_cast<std::size_t>(file.bytes()));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The manifest's text after comparing it with DONE.
std::string sealed_manifest(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    fail(ErrorCode::InvalidArgument, "'", folder.string(), "' is not a checkpoint folder; name a step_<n> folder");
  if (!is_finished(folder))
    fail(ErrorCode::Corrupt, "'", (folder / kDoneFile).string(), "' is missing: the checkpoint was never finished", kRemedy);
  std::string manifest = text_of(folder / kManifestFile);
  const std::string done = text_of(folder / kDoneFile);
  const std::string seal = seal_text(manifest);
  if (done == seal) return manifest;
  const auto differs = std::mismatch(done.begin(), done.end(), seal.begin(), seal.end()).first - done.begin();
  fail(ErrorCode::Corrupt, "'", (folder / kManifestFile).string(), "' (", manifest.size(), " bytes, from offset 0) or '",
       (folder / kDoneFile).string(), "' (from offset ", differs, ") is damaged: the second is not the checksum of the first", kRemedy);
}

std::string there(const fs::path& folder) {
  const std::vector<std::int64_t> steps = steps_in(folder);
  if (steps.empty()) return "it holds no step_<n>";
  return concat("it holds unfinished checkpoints only: step ", join(steps));
}

/// Candidates in the order they are tried: what `latest` points at, then by step, newest first.
std::vector<fs::path> candidates(const fs::path& checkpoints) {
  std::vector<fs::path> folders;
  std::vector<std::int64_t> steps = steps_in(checkpoints);
  std::reverse(steps.begin(), steps.end());
  for (const std::int64_t step : steps) folders.push_back(checkpoints / step_name(step));
  std::error_code error;
  const fs::path latest = fs::read_symlink(checkpoints / kLatestLink, error).filename();
  const auto found = std::find_if(folders.begin(), folders.end(), [&](const fs::path& folder) { return folder.filename() == latest; });
  if (!error && found != folders.end()) std::rotate(folders.begin(), found, found + 1);
  return folders;
}

}  // namespace

std::vector<fs::path> finished_checkpoints(const fs::path& checkpoints_folder) {
  std::vector<fs::path> result;
  for (const std::int64_t step : steps_in(checkpoints_folder)) {
    if (is_finished(checkpoints_folder / step_name(step))) result.push_back(checkpoints_folder / step_name(step));
  }
  return result;
}

CheckpointInfo verify_checkpoint(const fs::path& folder) {
  const Manifest manifest = parse_manifest(sealed_manifest(folder), (folder / kManifestFile).string());
  CheckpointInfo info = manifest.info;
  info.folder = folder;
  for (const FileSums& file : manifest.files) {
    verify_file(folder, file);
    info.file_bytes[file.name] = file.bytes;
  }
  for (const char* name : {kModelFile, kOptimizerFile, kConfigFile})
    if (!info.file_bytes.contains(name))
      fail(ErrorCode::Corrupt, "'", (folder / kManifestFile).string(), "' does not list ", name, kRemedy);
  info.config_toml = text_of(folder / kConfigFile);
  return info;
}

std::optional<CheckpointInfo> newest_valid(const fs::path& checkpoints_folder, std::vector<SkippedCheckpoint>& skipped) {
  for (const fs::path& folder : candidates(checkpoints_folder)) {
    try {
      return verify_checkpoint(folder);
    } catch (const Error& error) {
      skipped.push_back({folder, concat(error_code_name(error.code()), ": ", error.message())});
    }
  }
  return std::nullopt;
}

fs::path resolve_checkpoint(const fs::path& given) {
  std::error_code error;
  fs::path folder = fs::canonical(given, error);
  PANTHER_REQUIRE(!error, "there is no checkpoint '", given.string(), "' (", error.message(),
                  "); name a step_<n> folder, a checkpoints folder or a run folder");
  if (fs::is_regular_file(folder, error)) folder = folder.parent_path();
  if (step_of(folder) || fs::exists(folder / kManifestFile, error)) return folder;
  if (fs::is_directory(folder / "checkpoints", error)) folder /= "checkpoints";
  for (const fs::path& candidate : candidates(folder))
    if (is_finished(candidate)) return candidate;
  fail(ErrorCode::InvalidArgument, "there is no finished checkpoint in '", folder.string(), "' (", there(folder),
       "); name a step_<n> folder, a checkpoints folder or a run folder");
}

}  // namespace panther::runtime
