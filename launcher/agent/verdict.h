#pragma once
// Why a job ended and which exit code says so. Pure.
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"

namespace panther::launcher {

struct RankExit {
  int rank = 0;
  int code = 0;                 ///< exit code, when signal is 0
  int signal = 0;               ///< that ended it, 0 for an exit
  TimePoint at{};
  bool asked_to_stop = false;   ///< this launcher had sent it a signal before

  int exit_code() const;
  bool failed() const;          ///< neither done nor preempted
};

struct Verdict {
  int exit_code = 0;
  std::optional<int> rank;      ///< the one to blame, none when nobody failed
  std::string sentence;         ///< for people: what happened
};

/// Failures this close to the first one may be its cause: an error unwinds for a while after its peers have noticed.
inline constexpr Duration kSameIncident = std::chrono::seconds(2);

/// True for exit codes that only tell about somebody else (PeerLost, Timeout).
bool blames_others(const RankExit& exit);

/// The rank whose own failure came first. Ends that this launcher's signals caused do not count; of the failures within
/// kSameIncident of the first, one that does not blame others is preferred. nullptr when nobody failed.
const RankExit* root_cause(const std::vector<RankExit>& exits);

/// After all ranks ended. 0 when all are done, 75 when at least one was preempted and none failed, 128 + signal when the user's
/// signal (0, SIGTERM, SIGINT, SIGHUP) ended ranks that could not save, else the root cause's code.
Verdict judge(const std::vector<RankExit>& exits, int users_signal);

/// "exit code 70 (Corrupt)", "signal 9 (Killed)".
std::string describe(const RankExit& exit);

}  // namespace panther::launcher
