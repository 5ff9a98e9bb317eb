#include "launcher/agent/console.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/text.h"

namespace panther::launcher {

namespace {

constexpr std::size_t kTailLines = 20;
constexpr std::size_t kSaidLines = 256;
constexpr Duration kRepeatWindow = std::chrono::seconds(1);

}  // namespace

Console::Console(int ranks, int out_fd, int err_fd, bool is_terminal)
    : streams_(static_cast<std::size_t>(ranks) * 2),
      tails_(static_cast<std::size_t>(ranks)),
      out_fd_(out_fd),
      err_fd_(err_fd),
      is_terminal_(is_terminal) {}

void Console::feed(int rank, Channel channel, std::string_view bytes, TimePoint now) {
  if (bytes.empty()) return;
  if (rank == 0 && channel == Channel::out) {
    write(out_fd_, bytes);
    inside_line_ = bytes.back() != '\n';
  }
  LineSplitter& lines = streams_[static_cast<std::size_t>(rank) * 2 + (channel == Channel::err)];
  for (std::string& line : lines.feed(bytes)) take_line(rank, channel, std::move(line), now);
}

void Console::close(int rank, Channel channel, TimePoint now) {
  std::string rest = streams_[static_cast<std::size_t>(rank) * 2 + (channel == Channel::err)].rest();
  if (!rest.empty()) take_line(rank, channel, std::move(rest), now);
}

void Console::take_line(int rank, Channel channel, std::string line, TimePoint now) {
  remember(rank, settled(line));
  if (rank == 0 && channel == Channel::out) {
    last_shown_ = settled(line);
    return;
  }
  if (channel == Channel::err && said_by_another(rank, line, now)) return;
  begin_line();
  const std::string prefix = rank == 0 ? "" : concat("[rank ", rank, "] ");
  write(channel == Channel::out ? out_fd_ : err_fd_, concat(prefix, line, "\n"));
  last_shown_ = settled(line);
}

bool Console::said_by_another(int rank, const std::string& line, TimePoint now) {
  while (!said_.empty() && (now - said_.front().at > kRepeatWindow || said_.size() > kSaidLines)) said_.pop_front();
  const bool repeated = std::any_of(said_.begin(), said_.end(), [&](const Said& said) { return said.rank != rank && said.line == line; });
  if (!repeated) said_.push_back({now, rank, line});
  return repeated;
}

void Console::remember(int rank, std::string_view line) {
  auto& tail = tails_[static_cast<std::size_t>(rank)];
  tail.emplace_back(line);
  if (tail.size() > kTailLines) tail.pop_front();
}

void Console::say(std::string_view text) {
  begin_line();
  write(err_fd_, concat("panther: ", text, "\n"));
}

std::vector<std::string> Console::last_lines(int rank) const {
  const auto& tail = tails_[static_cast<std::size_t>(rank)];
  return {tail.begin(), tail.end()};
}

bool Console::shows_last_line_of(int rank) const {
  const auto& tail = tails_[static_cast<std::size_t>(rank)];
  return !tail.empty() && tail.back() == last_shown_;
}

void Console::begin_line() {
  if (inside_line_ && is_terminal_) write(out_fd_, "\r\x1b[K");
  inside_line_ = false;
}

void Console::write(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      // Somebody made the terminal non-blocking.
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, 1000);
      continue;
    }
    // Closed pipe, full disk: the logs in the run folder still have it, and training goes on.
    if (count < 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace panther::launcher
