#include "tools/linalg/command.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "core/error.h"
#include "core/exit_code.h"
#include "tools/linalg/value_chart.h"
#include "tools/linalg/work.h"
#include "tools/measure/timing.h"

namespace panther::tools {
namespace {

/// Before the matrix is opened: a run of an hour must not end at a missing folder.
void check_outputs(const LinalgRequest& request) {
  std::vector<std::filesystem::path> paths = result_paths(request.output, factor_names(request));
  if (!request.plot.empty()) paths.push_back(request.plot);
  require_writable(paths, request.force);
  for (const std::filesystem::path& path : paths)
    for (const std::filesystem::path& input : request.inputs) {
      std::error_code ignored;
      PANTHER_REQUIRE(!std::filesystem::equivalent(path, input, ignored), "'", path.string(),
                      "' is an input; write the results somewhere else");
    }
}

void describe(const LinalgRequest& request, const MatrixInput& a, LinalgReport& report) {
  report.command = request.command;
  report.input = request.inputs[0].string();
  if (!request.tensor.empty()) report.input += ":" + request.tensor;
  if (request.inputs.size() > 1) report.input += " and " + request.inputs[1].string();
  report.rows = a.rows();
  report.columns = a.columns();
  report.dtype = a.dtype();
  report.device = request.device == DeviceKind::cuda ? "cuda" : "cpu";
  report.threads = measure::threads();
}

/// Of the part "decompose" (or what streams: "sketch", "stream").
double decompose_seconds(const std::vector<StageTime>& stages) {
  double seconds = 0;
  for (const StageTime& stage : stages)
    if (stage.name == "decompose" || stage.name == "sketch" || stage.name == "stream") seconds += stage.seconds;
  return seconds;
}

}  // namespace

int linalg_command(const std::vector<std::string>& words) {
  const double begin = measure::now_seconds();
  std::string help;
  const std::optional<LinalgRequest> request = parse_linalg_request(words, help);
  if (!request) {
    std::fputs(help.c_str(), stdout);
    return kExitDone;
  }
  if (request->threads) measure::set_threads(*request->threads);
  const KernelSet& kernels = kernels_for(request->device);
  check_outputs(*request);
  const MatrixInput a(request->inputs[0], {.tensor = request->tensor}, request->dtype);
  std::optional<MatrixInput> b;
  if (request->inputs.size() > 1) b.emplace(request->inputs[1], MatrixFile::Options{.vector_allowed = true}, a.dtype());

  StageProgress progress;
  LinalgReport report;
  describe(*request, a, report);
  const linalg::Context context{.kernels = kernels,
                                .allocator = plain_allocator(),
                                .sum_over_ranks = {},
                                .seed = request->seed,
                                .progress = [&](std::string_view stage, double share) { progress.tell(stage, share); }};
  const Work work{
      *request, a,     b ? &*b : nullptr, context, Device{request->device, 0}, request->memory_bytes.value_or(available_memory_bytes()),
      progress, report};
  const Outcome outcome = find_linalg_command(request->command).run(work);
  progress.part("write", 0.95, 1);
  std::vector<TextFile> texts;
  if (!request->plot.empty()) texts.push_back({request->plot, value_chart_svg(outcome.singular_values, outcome.plot_title, report)});
  report.files = write_results(request->output, outcome.factors(), texts);
  report.plot = request->plot.string();
  progress.finish();
  const std::vector<StageTime> parts = progress.times();
  report.stages.insert(report.stages.begin(), parts.begin(), parts.end());
  report.decompose_seconds = decompose_seconds(parts);
  report.seconds = measure::now_seconds() - begin;
  report.peak_bytes = peak_resident_bytes();
  std::fputs((request->json ? report_json(report) : report_text(report)).c_str(), stdout);
  return kExitDone;
}

}  // namespace panther::tools
