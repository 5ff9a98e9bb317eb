#include "launcher/agent/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace panther::launcher {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

int Descriptor::release() { return std::exchange(fd_, -1); }

namespace {

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Pipe open_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0)
    fail(ErrorCode::Io, "cannot open a pipe for a rank's output: ", std::strerror(errno), "; raise the limit of open files (ulimit -n)");
  return {Descriptor(fds[0]), Descriptor(fds[1])};
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

struct ChildPlan {
  const char* program;
  char** arguments;
  char** environment;
  int out;
  int err;
  int report;  ///< gets errno when the program cannot be run
  pid_t parent;
};

/// Between fork and exec of a process that may have threads: only async-signal-safe calls.
[[noreturn]] void become_child(const ChildPlan& plan) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(1);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD, SIGXFSZ}) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int input = ::open("/dev/null", O_RDONLY);
  if (input >= 0 && ::dup2(input, 0) >= 0 && ::dup2(plan.out, 1) >= 0 && ::dup2(plan.err, 2) >= 0) {
    if (input > 2) ::close(input);
    ::execve(plan.program, plan.arguments, plan.environment);
  }
  const int error = errno;
  [[maybe_unused]] const ssize_t ignored = ::write(plan.report, &error, sizeof error);
  ::_exit(127);
}

int open_end(pid_t pid) {
  // Not glibc's wrapper: the header of 2.36 declares it without C linkage.
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd >= 0) return fd;
  const int error = errno;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  fail(ErrorCode::Unsupported, "cannot watch a process: pidfd_open: ", std::strerror(error), "; --nproc needs Linux 5.4 or newer");
}

}  // namespace

Process Process::spawn(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment) {
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  auto word_pointers = pointers_to(words);
  auto environment_pointers = pointers_to(environment);
  Pipe out = open_pipe(), err = open_pipe(), report = open_pipe();
  const ChildPlan plan{program.c_str(),  word_pointers.data(), environment_pointers.data(), out.write.get(), err.write.get(),
                       report.write.get(), ::getpid()};
  Process process;
  process.pid_ = ::fork();
  if (process.pid_ < 0) fail(ErrorCode::Io, "cannot start a process: ", std::strerror(errno), "; raise the limit of processes (ulimit -u)");
  if (process.pid_ == 0) become_child(plan);
  ::setpgid(process.pid_, process.pid_);  // also here: it may be signalled before it gets to run
  report.write.reset();
  int error = 0;
  if (::read(report.read.get(), &error, sizeof error) == sizeof error) {
    ::waitpid(process.pid_, nullptr, 0);
    fail(ErrorCode::Unsupported, "cannot run '", program.string(), "': ", std::strerror(error));
  }
  process.end_ = Descriptor(open_end(process.pid_));
  process.out_ = std::move(out.read);
  process.err_ = std::move(err.read);
  for (const int fd : {process.out_.get(), process.err_.get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
  return process;
}

void Process::signal_group(int signal) const {
  if (!reaped_) ::kill(-pid_, signal);
}

std::optional<ExitStatus> Process::reap() {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != pid_) return std::nullopt;
  // The zombie still holds the group's number, so this reaches what it left behind and nobody else.
  ::kill(-pid_, SIGKILL);
  ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED);
  reaped_ = true;
  end_.reset();
  if (info.si_code == CLD_EXITED) return ExitStatus{info.si_status, 0};
  return ExitStatus{0, info.si_status};
}

}  // namespace panther::launcher
