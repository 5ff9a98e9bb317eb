#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <thread>

#include "comm/rendezvous/store.h"
#include "core/env.h"
#include "core/error.h"

namespace panther::comm {
namespace {

namespace fs = std::filesystem;

std::string errno_text(int error) { return std::generic_category().message(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_;
};

/// A file name that stands for the key: bytes outside [A-Za-z0-9_-] become %XX, so two keys never share a name.
std::string file_name(const std::string& key) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string name = "k";
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-') {
      name += c;
    } else {
      name += '%';
      name += kHex[byte >> 4];
      name += kHex[byte & 15];
    }
  }
  PANTHER_REQUIRE(name.size() <= 240, "the store key '", key, "' is too long for a file name (", name.size(), " > 240 bytes when escaped)");
  return name;
}

/// One file per key, replaced by rename; all writers hold an flock on `.lock`, readers need none.
class FileStore final : public Store {
 public:
  explicit FileStore(const std::string& folder) : folder_(folder) {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) fail(ErrorCode::Io, "cannot make the store folder ", folder, ": ", error.message(), "; choose a folder that is writable");
    writer_ = concat(".tmp.", host_name(), ".", ::getpid(), ".");
  }

  void set(const std::string& key, std::string_view value) override {
    const fs::path path = folder_ / file_name(key);
    const Descriptor lock = locked();
    replace(path, value);
  }

  std::optional<std::string> get(const std::string& key) override { return read(folder_ / file_name(key)); }

  std::string wait(const std::string& key, Deadline deadline) override {
    const fs::path path = folder_ / file_name(key);
    auto pause = std::chrono::microseconds(100);
    for (;;) {
      if (auto value = read(path)) return *std::move(value);
      if (deadline.passed()) fail(ErrorCode::Timeout, "nobody set the key '", key, "' of the store in ", folder_.string(), " in time");
      std::this_thread::sleep_for(pause);
      pause = std::min<std::chrono::microseconds>(pause * 2, std::chrono::milliseconds(5));
    }
  }

  std::string compare_and_set(const std::string& key, const std::optional<std::string>& expected, std::string_view desired) override {
    const fs::path path = folder_ / file_name(key);
    const Descriptor lock = locked();
    const std::optional<std::string> present = read(path);
    if (present != expected) return present.value_or(std::string());
    replace(path, desired);
    return std::string(desired);
  }

 private:
  /// Held until the descriptor closes; between threads too, as each call opens its own description.
  Descriptor locked() const {
    const fs::path path = folder_ / ".lock";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) fail(ErrorCode::Io, "cannot open ", path.string(), ": ", errno_text(errno), "; the store folder must be writable");
    int result = 0;
    do {
      result = ::flock(fd, LOCK_EX);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
      const int error = errno;
      ::close(fd);
      fail(ErrorCode::Io, "cannot lock ", path.string(), ": ", errno_text(error), "; use a file system with locks, or a tcp:// store");
    }
    return Descriptor(fd);
  }

  void replace(const fs::path& path, std::string_view value) {
    const fs::path fresh = folder_ / concat(writer_, counter_.fetch_add(1));
    {
      const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
      if (!file.open()) fail(ErrorCode::Io, "cannot write ", fresh.string(), ": ", errno_text(errno));
      while (!value.empty()) {
        const ssize_t written = ::write(file.get(), value.data(), value.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail(ErrorCode::Io, "cannot write ", fresh.string(), ": ", errno_text(errno));
        value.remove_prefix(static_cast<std::size_t>(written));
      }
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0) {
      fail(ErrorCode::Io, "cannot rename ", fresh.string(), " to ", path.string(), ": ", errno_text(errno));
    }
  }

  static std::optional<std::string> read(const fs::path& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open() && errno == ENOENT) return std::nullopt;
    if (!file.open()) fail(ErrorCode::Io, "cannot read ", path.string(), ": ", errno_text(errno));
    std::string value;
    char piece[4096];
    for (;;) {
      const ssize_t count = ::read(file.get(), piece, sizeof(piece));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail(ErrorCode::Io, "cannot read ", path.string(), ": ", errno_text(errno));
      if (count == 0) return value;
      value.append(piece, static_cast<std::size_t>(count));
    }
  }

  fs::path folder_;
  std::string writer_;
  std::atomic<unsigned> counter_{0};
};

}  // namespace

std::shared_ptr<Store> make_file_store(const std::string& folder) { return std::make_shared<FileStore>(folder); }

}  // namespace panther::comm
