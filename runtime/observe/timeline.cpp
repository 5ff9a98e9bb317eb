#include "runtime/observe/timeline.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <vector>

#include "core/atomic_file.h"
#include "core/json_text.h"
#include "core/text.h"
#include "runtime/observe/nvtx.h"

namespace panther::runtime {
namespace {

enum class Mode { off, on, on_with_nvtx };

struct Range {
  const char* name;
  std::int64_t argument;
  std::int64_t start_ns, end_ns;
};

/// Ranges of one thread. Its thread appends, the writer takes; they meet at the mutex once per range, so it is never contended.
struct ThreadTrack {
  std::mutex mutex;
  int id = 0;
  std::string name;
  std::vector<Range> ranges;
};

struct Recorder {
  std::atomic<Mode> mode{Mode::off};
  std::atomic<std::int64_t> started_ns{0};
  std::mutex mutex;  ///< of what follows
  std::vector<std::shared_ptr<ThreadTrack>> tracks;
  int threads_seen = 0;
  int rank = 0;
};

/// Never destroyed: threads may end after the statics of this file.
Recorder& recorder() {
  static Recorder* const instance = new Recorder;
  return *instance;
}

std::int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ThreadTrack& my_track() {
  thread_local const std::shared_ptr<ThreadTrack> track = [] {
    auto fresh = std::make_shared<ThreadTrack>();
    const std::lock_guard lock(recorder().mutex);
    fresh->id = ++recorder().threads_seen;
    fresh->name = concat("thread ", fresh->id);
    recorder().tracks.push_back(fresh);
    return fresh;
  }();
  return *track;
}

/// Nanoseconds as microseconds with three decimals.
std::string microseconds(std::int64_t ns) {
  char text[40];
  std::snprintf(text, sizeof text, "%lld.%03d", static_cast<long long>(ns / 1000), static_cast<int>(ns % 1000));
  return text;
}

std::string metadata_event(const char* kind, int rank, int thread, const std::string& argument) {
  return concat("{\"name\":\"", kind, "\",\"ph\":\"M\",\"pid\":", rank, ",\"tid\":", thread, ",\"args\":{", argument, "}}");
}

void append_track(std::string& out, int rank, int id, const std::string& name, std::vector<Range>& ranges) {
  out += ",\n" + metadata_event("thread_name", rank, id, "\"name\":" + json_quote(name));
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.start_ns != b.start_ns ? a.start_ns < b.start_ns : a.end_ns > b.end_ns;
  });
  for (const Range& range : ranges) {
    out += concat(",\n{\"name\":", json_quote(range.name), ",\"ph\":\"X\",\"pid\":", rank, ",\"tid\":", id, ",\"ts\":", microseconds(range.start_ns),
                  ",\"dur\":", microseconds(range.end_ns - range.start_ns));
    if (range.argument != -1) out += concat(",\"args\":{\"n\":", range.argument, "}");
    out += "}";
  }
}

}  // namespace

void ProfileConfig::fields(FieldVisitor& v) {
  v.field("start_step", start_step, {.help = "first traced step", .unit = "steps", .min = 0});
  v.field("steps", steps, {.help = "how many steps to trace, 0 = none", .unit = "steps", .min = 0, .max = 100000});
  v.field("nvtx", nvtx, {.help = "also open NVTX ranges for NVIDIA's profilers (with CUDA)"});
}

void timeline_start(int rank, bool nvtx) {
  my_track();
  Recorder& r = recorder();
  const std::lock_guard lock(r.mutex);
  std::erase_if(r.tracks, [](const auto& track) { return track.use_count() == 1; });  // their threads are gone
  for (const auto& track : r.tracks) {
    const std::lock_guard track_lock(track->mutex);
    track->ranges.clear();
  }
  r.rank = rank;
  r.started_ns = monotonic_ns();
  r.mode = nvtx ? Mode::on_with_nvtx : Mode::on;
}

std::int64_t timeline_stop(const std::filesystem::path& file) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mutex);
  r.mode = Mode::off;
  std::string out = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" +
                    metadata_event("process_name", r.rank, 0, concat("\"name\":\"rank ", r.rank, "\"")) + ",\n" +
                    metadata_event("process_sort_index", r.rank, 0, concat("\"sort_index\":", r.rank));
  std::int64_t count = 0;
  for (const auto& track : r.tracks) {
    std::vector<Range> ranges;
    std::string name;
    {
      const std::lock_guard track_lock(track->mutex);
      ranges.swap(track->ranges);
      name = track->name;
    }
    if (ranges.empty()) continue;
    count += static_cast<std::int64_t>(ranges.size());
    append_track(out, r.rank, track->id, name, ranges);
  }
  const auto wall_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  out += concat("\n],\"otherData\":{\"rank\":", r.rank, ",\"wall_minus_monotonic_ns\":\"", wall_ns - monotonic_ns(), "\"}}\n");
  write_file_atomic(file, out);
  return count;
}

void timeline_name_thread(std::string_view name) {
  ThreadTrack& track = my_track();
  const std::lock_guard lock(track.mutex);
  track.name = name;
}

TimelineRange::TimelineRange(const char* name, std::int64_t argument) noexcept : name_(name), argument_(argument), start_ns_(-1) {
  const Mode mode = recorder().mode.load(std::memory_order_relaxed);
  if (mode == Mode::off) return;
  mirrored_ = mode == Mode::on_with_nvtx;
  if (mirrored_) nvtx_push(name);
  start_ns_ = monotonic_ns();
}

TimelineRange::~TimelineRange() {
  if (mirrored_) nvtx_pop();
  Recorder& r = recorder();
  if (start_ns_ < r.started_ns || r.mode.load(std::memory_order_relaxed) == Mode::off) return;
  try {
    const Range range{name_, argument_, start_ns_, monotonic_ns()};
    ThreadTrack& track = my_track();
    const std::lock_guard lock(track.mutex);
    track.ranges.push_back(range);
  } catch (...) {  // out of memory: the trace lacks a range, the training goes on
  }
}

}  // namespace panther::runtime
