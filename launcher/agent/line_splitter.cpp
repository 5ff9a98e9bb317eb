#include "launcher/agent/line_splitter.h"

#include <algorithm>
#include <utility>

namespace panther::launcher {

namespace {
constexpr std::size_t kLongestLine = std::size_t{64} << 10;
}

std::vector<std::string> LineSplitter::feed(std::string_view bytes) {
  std::vector<std::string> lines;
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const std::size_t room = kLongestLine - partial_.size();
    const std::size_t take = std::min(newline == std::string_view::npos ? bytes.size() : newline, room);
    partial_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    const bool complete = !bytes.empty() && bytes.front() == '\n';
    if (complete) bytes.remove_prefix(1);
    if (complete || partial_.size() == kLongestLine) lines.push_back(std::exchange(partial_, {}));
  }
  return lines;
}

std::string LineSplitter::rest() { return std::exchange(partial_, {}); }

std::string_view settled(std::string_view line) {
  while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line.substr(line.rfind('\r') + 1);
}

}  // namespace panther::launcher
