#include "tools/linalg/report.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>

#include "core/json_text.h"
#include "core/text.h"

namespace panther::tools {
namespace {

std::string formatted(const char* format, double value) {
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string row(const std::string& name, const std::string& value) {
  std::string left = "  " + name;
  left.resize(14, ' ');
  return left + value + "\n";
}

std::string errors(const LinalgReport& report) {
  std::vector<std::string> parts;
  if (report.error_estimate) parts.push_back(formatted("%.3g estimated", *report.error_estimate));
  if (report.true_error) parts.push_back(formatted("%.3g true", *report.true_error));
  return concat(join(parts), "   (", report.error_of, ")");
}

std::string times(const LinalgReport& report) {
  std::vector<std::string> parts;
  for (const StageTime& stage : report.stages)
    if (stage.name.find(": ") == std::string::npos) parts.push_back(concat(stage.name, " ", human_seconds(stage.seconds)));
  return concat(human_seconds(report.seconds), ": ", join(parts));
}

/// The stages inside the parts that took most; short ones say nothing.
std::string stage_times(const LinalgReport& report) {
  std::vector<StageTime> inside;
  for (const StageTime& stage : report.stages)
    if (stage.name.find(": ") != std::string::npos && stage.seconds >= 0.02 * report.seconds) inside.push_back(stage);
  std::vector<std::string> parts;
  for (const StageTime& stage : inside)
    parts.push_back(concat(stage.name.substr(stage.name.find(": ") + 2), " ", human_seconds(stage.seconds)));
  if (parts.size() > 6) parts.resize(6);
  return join(parts);
}

}  // namespace

std::string report_text(const LinalgReport& report) {
  std::string text = concat(report.command, " of ", report.input, "\n");
  text += row("method", report.reason.empty() ? report.method : concat(report.method, ": ", report.reason));
  text +=
      row("matrix", concat(report.rows, " x ", report.columns, ", ", dtype_name(report.dtype), " (",
                           human_bytes(static_cast<double>(report.rows * report.columns) * static_cast<double>(size_of(report.dtype))),
                           "), on ", report.device,
                           report.device == "cpu" ? concat(" with ", report.threads, report.threads == 1 ? " thread" : " threads") : ""));
  if (report.rank) text += row("rank", concat(*report.rank));
  if (report.error_estimate || report.true_error) text += row("error", errors(report));
  if (report.orthogonality) text += row("orthogonal", formatted("%.3g", *report.orthogonality) + "   (||Q^T Q - I||, Frobenius)");
  if (report.iterations) text += row("iterations", concat(*report.iterations));
  text += row("time", times(report));
  if (const std::string stages = stage_times(report); !stages.empty()) text += row("", stages);
  if (report.flops > 0 && report.decompose_seconds > 0)
    text += row("speed", formatted("%.3g GFLOP/s", report.flops / report.decompose_seconds * 1e-9) + " in the decomposition");
  text += row("memory", human_bytes(static_cast<double>(report.peak_bytes)) + " at the peak");
  for (const WrittenFile& file : report.files)
    text += row(&file == &report.files.front() ? "results" : "", concat(file.path.string(), "   (", file.shapes, ")"));
  if (!report.plot.empty()) text += row("plot", report.plot);
  for (const std::string& note : report.notes) text += row("note", note);
  return text;
}

std::string report_json(const LinalgReport& report) {
  std::string text = concat("{\"command\":", json_quote(report.command), ",\"input\":", json_quote(report.input),
                            ",\"method\":", json_quote(report.method), ",\"reason\":", json_quote(report.reason), ",\"rows\":", report.rows,
                            ",\"columns\":", report.columns, ",\"dtype\":", json_quote(dtype_name(report.dtype)),
                            ",\"device\":", json_quote(report.device), ",\"threads\":", report.threads);
  const auto number = [&](const char* key, const auto& value) {
    if (value) text += concat(",\"", key, "\":", json_number(static_cast<double>(*value)));
  };
  number("rank", report.rank);
  number("error_estimate", report.error_estimate);
  number("true_error", report.true_error);
  number("orthogonality", report.orthogonality);
  number("iterations", report.iterations);
  text += concat(",\"seconds\":", json_number(report.seconds), ",\"decompose_seconds\":", json_number(report.decompose_seconds),
                 ",\"flops\":", json_number(report.flops), ",\"peak_bytes\":", report.peak_bytes, ",\"stages\":[");
  for (std::size_t i = 0; i < report.stages.size(); ++i)
    text += concat(i == 0 ? "" : ",", "{\"name\":", json_quote(report.stages[i].name),
                   ",\"seconds\":", json_number(report.stages[i].seconds), "}");
  text += "],\"files\":[";
  for (std::size_t i = 0; i < report.files.size(); ++i)
    text += concat(i == 0 ? "" : ",", "{\"path\":", json_quote(report.files[i].path.string()),
                   ",\"shapes\":", json_quote(report.files[i].shapes), "}");
  text += "],\"notes\":[";
  for (std::size_t i = 0; i < report.notes.size(); ++i) text += concat(i == 0 ? "" : ",", json_quote(report.notes[i]));
  text += "]";
  if (!report.plot.empty()) text += concat(",\"plot\":", json_quote(report.plot));
  return text + "}\n";
}

std::int64_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace panther::tools
