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
  /// Appends to <folder>/metrics.jsonl, metrics.csv and tb/. When resuming at `from_step`, later lines of an earlier attempt are cut.
  MetricsWriter(const std::filesystem::path& run_folder, std::int64_t from_step);
  ~MetricsWriter();
  /// One JSON object {"step":..,"time":..,tag:value..}; nan and inf become null in JSON and are kept in TensorBoard.
  void write(std::int64_t step, const Scalars& scalars);
  /// Text shown in TensorBoard (the configuration).
  void write_text(const std::string& tag, const std::string& markdown);
  void flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace panther::runtime
