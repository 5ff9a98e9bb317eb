#pragma once
// Timelines: named ranges per thread, written as a Chrome trace (one file per rank, opens in Perfetto) and mirrored as
// NVTX ranges when built with CUDA. Off by default; recording costs two clock reads.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/fields.h"
#include "runtime/export.h"

namespace panther::runtime {

struct PANTHER_RUNTIME_API ProfileConfig {
  std::int64_t start_step = 10;   ///< first traced step
  std::int64_t steps = 5;         ///< how many; 0 = no trace
  bool nvtx = false;
  void fields(FieldVisitor& v);
};

/// Forgets earlier ranges and starts recording. Any thread may record ranges from now on.
PANTHER_RUNTIME_API void timeline_start(int rank, bool nvtx);
/// Stops and writes the trace file; returns the number of ranges in it. Throws Io; nothing is half-written. Times are microseconds of
/// the machine's monotonic clock, the same for all its ranks; the metadata says what to add for wall time.
PANTHER_RUNTIME_API std::int64_t timeline_stop(const std::filesystem::path& file);
/// Names the calling thread in the trace.
PANTHER_RUNTIME_API void timeline_name_thread(std::string_view name);

/// A range from construction to destruction, recorded when recording was on at both. `name` must outlive the recording (a literal).
/// `argument` (a bucket, a position) is shown as "n" unless it is -1.
class PANTHER_RUNTIME_API TimelineRange {
 public:
  explicit TimelineRange(const char* name, std::int64_t argument = -1) noexcept;
  ~TimelineRange();
  TimelineRange(const TimelineRange&) = delete;
  TimelineRange& operator=(const TimelineRange&) = delete;

 private:
  const char* name_;
  std::int64_t argument_;
  std::int64_t start_ns_;  ///< -1: not recorded
  bool mirrored_ = false;  ///< an NVTX range is open
};

}  // namespace panther::runtime
