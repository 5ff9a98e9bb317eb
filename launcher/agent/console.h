#pragma once
// What the ranks print, as one console shows it, and each rank's last lines.
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "launcher/agent/line_splitter.h"

namespace panther::launcher {

enum class Channel { out, err };

/// Rank 0's standard output passes byte by byte, so that its progress bar works; all else goes line by line, that of other ranks
/// prefixed with "[rank 1] ". A line on standard error that another rank printed within the last second is not repeated: one bad key is
/// one message, not N. One thread.
class Console {
 public:
  /// Writes to `out_fd` and `err_fd`; never closes them. A console that is gone is not an error.
  Console(int ranks, int out_fd, int err_fd, bool is_terminal);

  void feed(int rank, Channel channel, std::string_view bytes, TimePoint now);
  /// End of a stream: prints what has no newline.
  void close(int rank, Channel channel, TimePoint now);
  /// A line of the launcher's own, on standard error.
  void say(std::string_view text);

  /// At most 20, both channels in order of arrival.
  std::vector<std::string> last_lines(int rank) const;
  /// True when what the console shows last is the last line of `rank` (or the same line of another).
  bool shows_last_line_of(int rank) const;

 private:
  struct Said {
    TimePoint at;
    int rank;
    std::string line;
  };
  void take_line(int rank, Channel channel, std::string line, TimePoint now);
  bool said_by_another(int rank, const std::string& line, TimePoint now);
  void remember(int rank, std::string_view line);
  /// Clears a half-drawn progress bar before a line is printed.
  void begin_line();
  void write(int fd, std::string_view bytes);

  std::vector<LineSplitter> streams_;  ///< out, err of rank 0, of rank 1, ...
  std::vector<std::deque<std::string>> tails_;
  std::deque<Said> said_;
  int out_fd_;
  int err_fd_;
  bool is_terminal_;
  bool inside_line_ = false;  ///< rank 0's last byte on the console was not a newline
  std::string last_shown_;
};

}  // namespace panther::launcher
