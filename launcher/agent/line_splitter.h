#pragma once
// A stream of bytes cut into lines. Pure.
#include <string>
#include <string_view>
#include <vector>

namespace panther::launcher {

class LineSplitter {
 public:
  /// Lines that `bytes` completes, without their newline. A line longer than 64 KiB is cut there.
  std::vector<std::string> feed(std::string_view bytes);
  /// What is left without a newline; empty when nothing.
  std::string rest();

 private:
  std::string partial_;
};

/// What a terminal would show of a line that redraws itself: the text after its last carriage return that has any.
std::string_view settled(std::string_view line);

}  // namespace panther::launcher
