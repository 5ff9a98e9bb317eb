#include "runtime/observe/metrics.h"

#include <charconv>

#include "core/clock.h"
#include "core/error.h"
#include "core/json_text.h"
#include "runtime/observe/append_file.h"
#include "runtime/observe/event_file.h"
#include "runtime/observe/wide_csv.h"

namespace panther::runtime {
namespace {

constexpr std::string_view kLineStart = "{\"step\":";

bool keep_line(std::string_view line, std::int64_t from_step) {
  if (from_step <= 0 || !line.starts_with(kLineStart) || !line.ends_with('}')) return false;
  std::int64_t step = 0;
  const auto parsed = std::from_chars(line.data() + kLineStart.size(), line.data() + line.size(), step);
  return parsed.ec == std::errc() && step <= from_step;
}

/// The folder of event files, cut back; steps later than from_step are gone, all of them when it is 0.
std::filesystem::path prepare_event_folder(const std::filesystem::path& run_folder, std::int64_t first_step) {
  const std::filesystem::path folder = run_folder / "tb";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorCode::Io, "cannot make the folder '", folder.string(), "': ", error.message(), "; check run.dir");
  cut_event_files(folder, first_step);
  return folder;
}

std::filesystem::path cut_lines(const std::filesystem::path& path, std::int64_t from_step) {
  keep_lines(path, keep_line, from_step);
  return path;
}

}  // namespace

struct MetricsWriter::Impl {
  Impl(const std::filesystem::path& run_folder, std::int64_t done)
      : from_step(done), events(prepare_event_folder(run_folder, done > 0 ? done + 1 : 0)),
        lines(cut_lines(run_folder / "metrics.jsonl", done)), table(run_folder / "metrics.csv", done) {
    events.start_session(unix_seconds(), done > 0 ? done + 1 : 0);
  }
  std::int64_t from_step;
  EventFile events;
  AppendFile lines;
  WideCsv table;
};

MetricsWriter::MetricsWriter(const std::filesystem::path& run_folder, std::int64_t from_step)
    : impl_(std::make_unique<Impl>(run_folder, from_step)) {}
MetricsWriter::~MetricsWriter() = default;

void MetricsWriter::write(std::int64_t step, const Scalars& scalars) {
  const double time = unix_seconds();
  std::string line = concat(kLineStart, step, ",\"time\":", json_number(time));
  for (const auto& [tag, value] : scalars) line.append(",").append(json_quote(tag)).append(":").append(json_number(value));
  impl_->lines.append(line + "}\n");
  impl_->table.write(step, time, scalars);
  impl_->events.write_scalars(time, step, scalars);
}

void MetricsWriter::write_detail(std::int64_t step, const Scalars& scalars) { impl_->events.write_scalars(unix_seconds(), step, scalars); }

void MetricsWriter::write_text(const std::string& tag, const std::string& markdown) {
  impl_->events.write_text(unix_seconds(), impl_->from_step, tag, markdown);
}

void MetricsWriter::flush() {
  impl_->lines.sync();
  impl_->table.sync();
  impl_->events.sync();
}

}  // namespace panther::runtime
