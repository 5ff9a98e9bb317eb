#include "launcher/agent/verdict.h"

#include <algorithm>
#include <csignal>
#include <cstring>

#include "core/error.h"
#include "core/exit_code.h"
#include "core/text.h"

namespace panther::launcher {

namespace {

/// The name that docs/errors.md gives an exit code, "" when it has none.
std::string_view name_of_code(int code) {
  for (const ErrorCode each : {ErrorCode::InvalidArgument, ErrorCode::Unsupported, ErrorCode::PeerLost, ErrorCode::Timeout, ErrorCode::DeviceFault,
                               ErrorCode::OutOfMemory, ErrorCode::Corrupt, ErrorCode::Internal, ErrorCode::NonFinite, ErrorCode::Io})
    if (exit_code_for(each) == code) return error_code_name(each);
  return "";
}

/// Ended by what this launcher sent, not by a fault of its own.
bool ended_on_request(const RankExit& exit) {
  const int code = exit.exit_code();
  return exit.asked_to_stop && (code == exit_for_signal(SIGTERM) || code == exit_for_signal(SIGKILL) || code == exit_for_signal(SIGINT));
}

}  // namespace

int RankExit::exit_code() const { return signal != 0 ? exit_for_signal(signal) : code; }
bool RankExit::failed() const { return exit_code() != kExitDone && exit_code() != kExitPreempted; }

bool blames_others(const RankExit& exit) {
  return exit.signal == 0 && (exit.code == exit_code_for(ErrorCode::PeerLost) || exit.code == exit_code_for(ErrorCode::Timeout));
}

const RankExit* root_cause(const std::vector<RankExit>& exits) {
  std::vector<const RankExit*> failures;
  for (const RankExit& exit : exits)
    if (exit.failed() && !ended_on_request(exit)) failures.push_back(&exit);
  if (failures.empty()) return nullptr;
  const auto earlier = [](const RankExit* a, const RankExit* b) { return a->at < b->at; };
  std::stable_sort(failures.begin(), failures.end(), earlier);
  for (const RankExit* failure : failures)
    if (!blames_others(*failure) && failure->at - failures.front()->at <= kSameIncident) return failure;
  return failures.front();
}

Verdict judge(const std::vector<RankExit>& exits, int users_signal) {
  if (const RankExit* cause = root_cause(exits))
    return {cause->exit_code(), cause->rank, concat("rank ", cause->rank, " failed with ", describe(*cause),
                                                      cause->signal == SIGKILL ? " (if nobody killed it, the machine ran out of memory)" : "")};
  const auto count = [&](auto&& wanted) { return std::count_if(exits.begin(), exits.end(), wanted); };
  if (count([](const RankExit& exit) { return exit.failed(); }) > 0) {
    const int signal = users_signal != 0 ? users_signal : SIGTERM;
    return {exit_for_signal(signal), std::nullopt, concat("stopped by ", strsignal(signal), " before the ranks could save")};
  }
  if (count([](const RankExit& exit) { return exit.code == kExitPreempted; }) > 0)
    return {kExitPreempted, std::nullopt, "stopped on request with a checkpoint; continue with --resume"};
  return {kExitDone, std::nullopt, "done"};
}

std::string describe(const RankExit& exit) {
  if (exit.signal != 0) return concat("signal ", exit.signal, " (", strsignal(exit.signal), ")");
  const std::string_view name = name_of_code(exit.code);
  return name.empty() ? concat("exit code ", exit.code) : concat("exit code ", exit.code, " (", name, ")");
}

}  // namespace panther::launcher
