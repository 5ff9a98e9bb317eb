#pragma once
// One child process in a process group of its own, with its output in pipes and its end in a descriptor.
#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace panther::launcher {

/// Closes on destruction; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  int get() const { return fd_; }
  void reset();
  int release();

 private:
  int fd_;
};

struct ExitStatus {
  int code = 0;
  int signal = 0;  ///< that ended it, 0 for an exit
};

class Process {
 public:
  /// Starts `program` with `arguments` (argv[0] excluded) and exactly `environment`; standard input is /dev/null. The child gets
  /// default signal handling and dies with the thread that called (SIGKILL), so call from the main thread. Throws Io or Unsupported.
  static Process spawn(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment);

  pid_t pid() const { return pid_; }
  /// Readable once the process has ended.
  int end_fd() const { return end_.get(); }
  /// Non-blocking read ends of its standard output and error; reset them at end of file.
  Descriptor& out() { return out_; }
  Descriptor& err() { return err_; }

  /// To its whole group. No effect after reap().
  void signal_group(int signal) const;
  /// The status when it has ended; what is left of its group is killed then.
  std::optional<ExitStatus> reap();

 private:
  pid_t pid_ = -1;
  bool reaped_ = false;
  Descriptor end_;
  Descriptor out_;
  Descriptor err_;
};

}  // namespace panther::launcher
