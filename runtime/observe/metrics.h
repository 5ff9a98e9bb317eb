#pragma once
// Metrics to JSONL, CSV and TensorBoard. Rank 0 only. Tags are those of docs/glossary.md ("train/loss", ...).
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/export.h"

namespace panther::runtime {

using Scalars = std::vector<std::pair<std::string, double>>;

class PANTHER_RUNTIME_API MetricsWriter {
 public:
  /// Appends to <folder>/metrics.jsonl, metrics.csv and tb/. `from_step` is how many steps are done: lines of an earlier attempt about
  /// later steps are cut (all lines when it is 0), as is a line that was torn by a crash; TensorBoard gets a file of its own whose start
  /// marker makes it drop what came later, and earlier files lose those events too. Throws Io.
  MetricsWriter(const std::filesystem::path& run_folder, std::int64_t from_step);
  ~MetricsWriter();
  /// One JSON object {"step":..,"time":..,tag:value..} a line, time in seconds since 1970; nan and inf become null in JSON and are kept
  /// in TensorBoard and CSV. The CSV is wide: one column per tag, in the order of first use; a new tag rewrites the file with one column
  /// more. Each call reaches the operating system before it returns. Throws Io (disk full).
  void write(std::int64_t step, const Scalars& scalars);
  /// To TensorBoard alone: figures of which there are many (per bucket).
  void write_detail(std::int64_t step, const Scalars& scalars);
  /// Text shown in TensorBoard (the configuration), markdown.
  void write_text(const std::string& tag, const std::string& markdown);
  /// Waits until everything written is on the disk (beside a checkpoint). Throws Io.
  void flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace panther::runtime
