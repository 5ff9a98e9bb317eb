#pragma once
// What people see while a decomposition runs, on stderr: a bar with the stage and ETA on a terminal, a line every five seconds otherwise.
// And how long each part took.
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace panther::tools {

/// One line of at most `columns` characters: "#####-----  52 %  power iteration 1  0.8 s, ETA 0.7 s". Pure.
std::string progress_bar(std::string_view stage, double share, double elapsed_seconds, std::size_t columns);
/// "power iteration 1: 52 % after 12.3 s, ETA 11.4 s". Pure.
std::string progress_line(std::string_view stage, double share, double elapsed_seconds);

struct StageTime {
  std::string name;
  double seconds = 0;
};

/// Redraws from a thread of its own, so that a long stage is seen to live. stage() and part() come from one thread.
class StageProgress {
 public:
  StageProgress();
  ~StageProgress();  ///< removes the bar
  StageProgress(const StageProgress&) = delete;
  StageProgress& operator=(const StageProgress&) = delete;

  /// A part of the whole begins: "read", "decompose", "check", "write"; it takes shares [begin, end] of the bar.
  void part(const std::string& name, double begin, double end);
  /// Within the part: a stage's name and the share of the part that is done. The signature of linalg::Progress.
  void tell(std::string_view stage, double share);
  /// No more drawing; the last part ends.
  void finish();
  /// Of the parts, in order. (Stages are told at their begin by some routines and at their end by others, so their times come with the
  /// results.)
  std::vector<StageTime> times() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace panther::tools
