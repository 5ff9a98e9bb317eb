#pragma once
// TensorBoard's event files: TFRecord framing (length, masked CRC-32C, data, masked CRC-32C) around tensorflow.Event messages, of which
// a handful of fields are written by hand. Formats: tensorflow/core/lib/io/record_writer.h, core/util/event.proto, framework/summary.proto.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "runtime/observe/append_file.h"
#include "runtime/observe/metrics.h"

namespace panther::runtime {

class EventFile {
 public:
  /// A new file in `folder` that sorts after the earlier ones. Throws Io.
  explicit EventFile(const std::filesystem::path& folder);
  /// Readers drop what they have of `first_step` and later.
  void start_session(double time, std::int64_t first_step);
  void write_scalars(double time, std::int64_t step, const Scalars& scalars);
  void write_text(double time, std::int64_t step, std::string_view tag, std::string_view markdown);
  void sync() { file_.sync(); }

 private:
  AppendFile file_;
};

/// Rewrites the event files in `folder` without events of `first_step` and later and without a torn record at the end; files that
/// cannot be understood stay as they are. Throws Io.
void cut_event_files(const std::filesystem::path& folder, std::int64_t first_step);

}  // namespace panther::runtime
