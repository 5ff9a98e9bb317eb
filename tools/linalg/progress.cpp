#include "tools/linalg/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "core/env.h"
#include "core/text.h"
#include "tools/measure/timing.h"

namespace panther::tools {
namespace {

using measure::now_seconds;
constexpr double kRedrawSeconds = 0.15, kLineSeconds = 5.0;

std::string eta(double share, double elapsed) {
  if (share <= 0.02 || share >= 1) return "";
  return concat(", ETA ", human_seconds(elapsed * (1 - share) / share));
}

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

std::string progress_bar(std::string_view stage, double share, double elapsed, std::size_t columns) {
  share = std::clamp(share, 0.0, 1.0);
  const std::string facts = concat("  ", std::lround(100 * share), " %  ", stage, "  ", human_seconds(elapsed), eta(share, elapsed));
  const std::size_t room = std::max<std::size_t>(columns, 2) - 1;  // the last column would wrap on some terminals
  if (facts.size() + 10 > room) return facts.substr(0, room);
  const std::size_t bar = std::min<std::size_t>(30, room - facts.size());
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(bar));
  return std::string(filled, '#') + std::string(bar - filled, '-') + facts;
}

std::string progress_line(std::string_view stage, double share, double elapsed) {
  return concat(stage, ": ", std::lround(100 * std::clamp(share, 0.0, 1.0)), " % after ", human_seconds(elapsed), eta(share, elapsed));
}

struct StageProgress::Impl {
  const bool bar = ::isatty(STDERR_FILENO) == 1 && env_value("TERM").value_or("dumb") != "dumb";
  const double begin = now_seconds();
  mutable std::mutex mutex;
  std::condition_variable changed;
  bool done = false, drawn = false;
  std::string part_name, stage_name;
  double low = 0, high = 0, share = 0;
  double part_since = begin, shown_at = begin;
  std::vector<StageTime> parts;
  std::thread ticker;

  void draw() {  // with the mutex
    const double now = now_seconds();
    const std::string what = stage_name.empty() ? part_name : stage_name;
    if (part_name.empty()) return;
    if (bar) {
      put("\r\x1b[2K" + progress_bar(what, share, now - begin, terminal_columns()));
      drawn = true;
    } else if (now - shown_at >= kLineSeconds) {
      put(progress_line(what, share, now - begin) + "\n");
      shown_at = now;
    }
  }
  void tick() {
    std::unique_lock lock(mutex);
    while (!done) {
      changed.wait_for(lock, std::chrono::duration<double>(kRedrawSeconds));
      if (!done) draw();
    }
  }
  void end_part(double now) {
    stage_name.clear();
    if (!part_name.empty()) parts.push_back({part_name, now - part_since});
    part_name.clear();
    part_since = now;
  }
};

StageProgress::StageProgress() : impl_(std::make_unique<Impl>()) {
  impl_->ticker = std::thread([impl = impl_.get()] { impl->tick(); });
}

StageProgress::~StageProgress() { finish(); }

void StageProgress::part(const std::string& name, double begin, double end) {
  const std::lock_guard lock(impl_->mutex);
  impl_->end_part(now_seconds());
  impl_->part_name = name;
  impl_->low = begin;
  impl_->high = end;
  impl_->share = std::max(impl_->share, begin);
}

void StageProgress::tell(std::string_view stage, double share) {
  const std::lock_guard lock(impl_->mutex);
  impl_->stage_name = stage;
  impl_->share = std::max(impl_->share, impl_->low + std::clamp(share, 0.0, 1.0) * (impl_->high - impl_->low));
}

void StageProgress::finish() {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->done) return;
    impl_->done = true;
    impl_->end_part(now_seconds());
    if (impl_->drawn) put("\r\x1b[2K");
  }
  impl_->changed.notify_all();
  impl_->ticker.join();
}

std::vector<StageTime> StageProgress::times() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->parts;
}

}  // namespace panther::tools
