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

/// Starts and stops recording. Any thread may record ranges in between.
PANTHER_RUNTIME_API void timeline_start(int rank, bool nvtx);
/// Stops and writes the trace file; returns the number of events.
PANTHER_RUNTIME_API std::int64_t timeline_stop(const std::filesystem::path& file);
/// Names the calling thread in the trace.
PANTHER_RUNTIME_API void timeline_name_thread(std::string_view name);

/// A range from construction to destruction. `name` must outlive the recording (a literal).
class PANTHER_RUNTIME_API TimelineRange {
 public:
  explicit TimelineRange(const char* name, std::int64_t argument = -1) noexcept;
  ~TimelineRange();
  TimelineRange(const TimelineRange&) = delete;
  TimelineRange& operator=(const TimelineRange&) = delete;

 private:
  const char* name_;
  std::int64_t argument_;
  std::int64_t start_ns_;
};

}  // namespace panther::runtime
