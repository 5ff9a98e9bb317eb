#include "launcher/agent/local_job.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>

#include "comm/rendezvous/store.h"
#include "core/atomic_file.h"
#include "core/env.h"
#include "core/error.h"
#include "core/exit_code.h"
#include "core/scratch_folder.h"
#include "launcher/agent/console.h"
#include "launcher/agent/log_store.h"
#include "launcher/agent/machine.h"
#include "launcher/agent/process.h"
#include "launcher/agent/rank_environment.h"
#include "launcher/agent/signal_inbox.h"
#include "launcher/agent/verdict.h"

namespace panther::launcher {

namespace fs = std::filesystem;

namespace {

using std::chrono::milliseconds;

std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts);
  return text;
}

std::vector<std::string> inherited_environment() {
  std::vector<std::string> out;
  for (char** each = environ; *each != nullptr; ++each) out.emplace_back(*each);
  return out;
}

/// Where the supervision stands. Times are when the next escalation is due.
struct Stopping {
  int users_signal = 0;                  ///< what the user asked with, 0 when nobody asked
  std::optional<TimePoint> terminate_at; ///< SIGTERM to what still runs
  std::optional<TimePoint> kill_at;      ///< SIGKILL to what still runs
  bool terminated = false;
};

class LocalJob {
 public:
  explicit LocalJob(const LocalJobOptions& options)
      : options_(options),
        store_(0),
        console_(options.ranks, STDOUT_FILENO, STDERR_FILENO, ::isatty(STDOUT_FILENO) != 0),
        logs_(scratch_.path(), options.ranks) {}

  int run() {
    start();
    while (running_ > 0) wait_once();
    drain();
    look_for_run_folder();
    return report();
  }

 private:
  void start();
  void wait_once();
  /// One piece of what waits; false when nothing does.
  bool read_piece(int rank, Channel channel);
  void drain();
  void take_signals();
  void reap();
  void note_failure(const RankExit& exit, TimePoint now);
  void escalate(TimePoint now);
  void signal_all(int signal);
  void look_for_run_folder();
  int poll_milliseconds(TimePoint now) const;
  int report();

  const LocalJobOptions& options_;
  SignalInbox signals_;  // before the store's thread, which must not take signals away
  comm::TcpStoreServer store_;
  ScratchFolder scratch_;
  Console console_;
  LogStore logs_;
  std::vector<Process> processes_;
  std::vector<bool> ended_;
  std::vector<RankExit> exits_;
  int running_ = 0;
  Stopping stopping_;
  bool looked_for_folder_ = false;
};

void LocalJob::start() {
  JobFacts job;
  job.ranks = options_.ranks;
  job.store_port = store_.port();
  job.master_port = free_port();
  job.run_id = env_value("PANTHER_RUN_ID").value_or(time_stamp());
  job.job_id = env_value("PANTHER_JOB_ID").value_or(concat("local-", job.run_id, "-", ::getpid()));
  job.run_folder_file = scratch_.path() / "run_folder";
  job.cores = usable_cores();
  job.console_columns = terminal_columns(STDOUT_FILENO);
  const std::vector<std::string> inherited = inherited_environment();
  ended_.assign(static_cast<std::size_t>(options_.ranks), false);
  try {
    for (int rank = 0; rank < options_.ranks; ++rank) {
      processes_.push_back(Process::spawn(options_.worker, options_.arguments, with_variables(inherited, rank_variables(job, rank, inherited))));
      ++running_;
    }
  } catch (const Error& error) {
    signal_all(SIGKILL);
    throw error.with(concat("while starting rank ", running_, " of ", options_.ranks));
  }
}

int LocalJob::poll_milliseconds(TimePoint now) const {
  // The run folder is told by a file; once it is known there is nothing to poll for.
  milliseconds wait = logs_.settled() || looked_for_folder_ ? milliseconds(60'000) : milliseconds(50);
  for (const auto& due : {stopping_.terminate_at, stopping_.kill_at})
    if (due) wait = std::min(wait, std::chrono::ceil<milliseconds>(std::max(Duration::zero(), *due - now)));
  return static_cast<int>(wait.count());
}

void LocalJob::wait_once() {
  std::vector<pollfd> polled{{signals_.fd(), POLLIN, 0}};
  for (Process& process : processes_)
    for (const int fd : {process.end_fd(), process.out().get(), process.err().get()}) polled.push_back({fd, POLLIN, 0});
  if (::poll(polled.data(), polled.size(), poll_milliseconds(real_clock().now())) < 0 && errno != EINTR)
    fail(ErrorCode::Internal, "poll: ", std::strerror(errno));
  take_signals();
  for (int rank = 0; rank < options_.ranks; ++rank) {
    const std::size_t at = 1 + static_cast<std::size_t>(rank) * 3;
    // One piece each: a rank that prints without end must not keep the others and the signals waiting.
    if (polled[at + 1].revents != 0) read_piece(rank, Channel::out);
    if (polled[at + 2].revents != 0) read_piece(rank, Channel::err);
  }
  look_for_run_folder();
  reap();
  escalate(real_clock().now());
}

bool LocalJob::read_piece(int rank, Channel channel) {
  Process& process = processes_[static_cast<std::size_t>(rank)];
  Descriptor& stream = channel == Channel::out ? process.out() : process.err();
  if (stream.get() < 0) return false;
  char buffer[65536];
  const ssize_t count = ::read(stream.get(), buffer, sizeof buffer);
  if (count < 0) return errno == EINTR;
  const TimePoint now = real_clock().now();
  if (count == 0) {
    console_.close(rank, channel, now);
    stream.reset();
    return false;
  }
  const std::string_view bytes(buffer, static_cast<std::size_t>(count));
  console_.feed(rank, channel, bytes, now);
  logs_.append(rank, channel, bytes);
  return true;
}

void LocalJob::drain() {
  for (int rank = 0; rank < static_cast<int>(processes_.size()); ++rank) {
    for (const Channel channel : {Channel::out, Channel::err}) {
      while (read_piece(rank, channel)) {
      }
      console_.close(rank, channel, real_clock().now());
    }
  }
}

void LocalJob::take_signals() {
  while (const auto signal = signals_.take()) {
    if (*signal == SIGUSR2) {
      signal_all(SIGUSR2);
    } else if (stopping_.users_signal == 0) {
      stopping_.users_signal = *signal;
      console_.say(concat("stopping (", strsignal(*signal), "): the ranks finish their step and save; Ctrl-C again quits at once"));
      stopping_.terminated = true;
      signal_all(SIGTERM);
    } else if (*signal == SIGINT) {
      console_.say("quitting at once");
      signal_all(SIGKILL);
    }
  }
}

void LocalJob::reap() {
  for (int rank = 0; rank < options_.ranks; ++rank) {
    const auto i = static_cast<std::size_t>(rank);
    if (ended_[i]) continue;
    const auto status = processes_[i].reap();
    if (!status) continue;
    ended_[i] = true;
    --running_;
    const TimePoint now = real_clock().now();
    exits_.push_back({rank, status->code, status->signal, now, stopping_.terminated});
    if (exits_.back().failed()) note_failure(exits_.back(), now);
  }
}

void LocalJob::note_failure(const RankExit& exit, TimePoint now) {
  if (stopping_.terminate_at || stopping_.kill_at) {
    // Whoever waits to hear the cause has heard it.
    if (stopping_.terminate_at && !blames_others(exit)) stopping_.terminate_at = now;
    return;
  }
  stopping_.terminate_at = now + (blames_others(exit) ? options_.others_may_explain : milliseconds(0));
}

void LocalJob::escalate(TimePoint now) {
  if (running_ == 0) return;
  if (stopping_.terminate_at && now >= *stopping_.terminate_at) {
    stopping_.terminate_at.reset();
    stopping_.kill_at = now + options_.grace;
    stopping_.terminated = true;
    signal_all(SIGTERM);
  }
  if (stopping_.kill_at && now >= *stopping_.kill_at) {
    stopping_.kill_at = now + options_.grace;
    signal_all(SIGKILL);
  }
}

void LocalJob::signal_all(int signal) {
  for (const Process& process : processes_) process.signal_group(signal);
}

void LocalJob::look_for_run_folder() {
  std::error_code error;
  if (looked_for_folder_ || !fs::exists(scratch_.path() / "run_folder", error)) return;
  looked_for_folder_ = true;
  logs_.settle(read_file(scratch_.path() / "run_folder"));
}

int LocalJob::report() {
  const Verdict verdict = judge(exits_, stopping_.users_signal);
  if (!verdict.rank) {
    if (verdict.exit_code != kExitDone) console_.say(verdict.sentence);
    return verdict.exit_code;
  }
  const std::vector<std::string> lines = console_.last_lines(*verdict.rank);
  const bool shown = console_.shows_last_line_of(*verdict.rank);
  const bool stopped = std::any_of(exits_.begin(), exits_.end(), [](const RankExit& exit) { return exit.asked_to_stop; });
  const std::string others = stopped ? "; the other ranks were stopped" : "";
  console_.say(concat(verdict.sentence, others, lines.empty() ? "; it printed nothing" : shown ? "; its last lines are above" : "; its last lines:"));
  if (!shown)
    for (const std::string& line : lines) console_.say(concat("  ", line));
  if (logs_.settled()) console_.say(concat("all output is in ", logs_.folder().string()));
  return verdict.exit_code;
}

}  // namespace

int run_local_job(const LocalJobOptions& options) { return LocalJob(options).run(); }

}  // namespace panther::launcher
