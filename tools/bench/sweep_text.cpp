#include "tools/bench/sweep_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/text.h"
#include "tools/plot/chart.h"

namespace panther::bench {
namespace {

std::string formatted(const char* format, double value) {
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

using Row = std::array<std::string, 9>;

Row row_of(const SweepPoint& point) {
  const measure::Figure& figure = point.figure;
  const auto share = [](double value, double limit) { return value > 0 && limit > 0 ? formatted("%.0f %%", 100 * value / limit) : "-"; };
  return {point.series,
          figure.shape,
          human_seconds(figure.timing.median),
          formatted("%.0f %%", 100 * figure.timing.spread),
          figure.flops > 0 ? formatted("%.3g", figure.gflops()) : "-",
          share(figure.gflops(), figure.gemm_gflops),
          figure.bytes > 0 ? formatted("%.3g", figure.gbs()) : "-",
          share(figure.gbs(), figure.stream_gbs),
          figure.error >= 0 ? formatted("%.1e", figure.error) : "-"};
}

/// One series per name, in the order of their first points.
template <class Value>
std::vector<plot::Series> series_of(const std::vector<SweepPoint>& points, const Value& value) {
  std::vector<plot::Series> all;
  for (const SweepPoint& point : points) {
    auto found = std::find_if(all.begin(), all.end(), [&](const plot::Series& each) { return each.name == point.series; });
    if (found == all.end()) found = all.insert(all.end(), plot::Series{.name = point.series});
    const double y = value(point);
    if (y > 0) found->points.emplace_back(point.size, y);
  }
  std::erase_if(all, [](const plot::Series& each) { return each.points.empty(); });
  return all;
}

std::string size_label(const std::string& group) {
  if (group == "operators") return "rows of A (256 columns, sketched to 512 rows)";
  if (group == "linear") return "width d (batch 256)";
  return group == "qr" ? "rows of A (256 columns, 64 with --quick; bqrrp: n x n)" : "n of an n x n matrix";
}

plot::Chart roofline(const std::vector<SweepPoint>& points, const measure::MachineLimits& limits, const std::string& machine) {
  plot::Chart chart{.title = concat("roofline: ", machine),
                    .x = {.label = "flops per byte that must move", .logarithmic = true},
                    .y = {.label = "GFLOP/s", .logarithmic = true},
                    .series = {}};
  double low = 1, high = 100;
  std::vector<const SweepPoint*> largest;  // of each series: the largest size stands for it
  for (const SweepPoint& point : points) {
    if (point.intensity() <= 0 || point.figure.timing.median <= 0) continue;
    auto found = std::find_if(largest.begin(), largest.end(),
                              [&](const SweepPoint* each) { return each->group == point.group && each->series == point.series; });
    if (found == largest.end())
      largest.push_back(&point);
    else if ((*found)->size <= point.size)
      *found = &point;
  }
  for (const SweepPoint* point : largest) {
    low = std::min(low, point->intensity() / 2);
    high = std::max(high, point->intensity() * 2);
    chart.series.push_back(
        {.name = concat(point->group, ": ", point->series), .points = {{point->intensity(), point->figure.gflops()}}, .line = false});
  }
  for (const auto& [name, peak] : {std::pair{"GEMM limit f32", limits.gemm_f32_gflops}, {"GEMM limit f64", limits.gemm_f64_gflops}}) {
    if (peak <= 0 || limits.read_gbs <= 0) continue;
    chart.series.push_back(
        {.name = name, .points = {{low, low * limits.read_gbs}, {peak / limits.read_gbs, peak}, {high, peak}}, .limit = true});
  }
  return chart;
}

}  // namespace

std::string sweep_table(const std::vector<SweepPoint>& points) {
  std::vector<Row> rows{{"what", "shape", "median", "spread", "GFLOP/s", "of GEMM", "GB/s", "of read", "error"}};
  for (const SweepPoint& point : points) rows.push_back(row_of(point));
  std::array<std::size_t, 9> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const Row& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      line += concat(" ", i < 2 ? "" : padding, row[i], i < 2 ? padding : "", " ");
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> sweep_charts(const std::vector<SweepPoint>& points, const measure::MachineLimits& limits,
                                                              const std::string& machine) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const char* group : {"operators", "qr", "svd", "linear"}) {
    std::vector<SweepPoint> mine;
    std::copy_if(points.begin(), points.end(), std::back_inserter(mine), [&](const SweepPoint& point) { return point.group == group; });
    if (mine.empty()) continue;
    std::vector<plot::Chart> charts{{.title = concat(group, ": time (", mine.front().figure.device, ", ", measure::threads(), " threads)"),
                                     .x = {.label = size_label(group), .logarithmic = true},
                                     .y = {.label = "seconds", .logarithmic = true},
                                     .series = series_of(mine, [](const SweepPoint& point) { return point.figure.timing.median; })}};
    std::vector<plot::Series> errors = series_of(mine, [](const SweepPoint& point) { return point.figure.error; });
    if (!errors.empty())
      charts.push_back({.title = concat(group, group == std::string("operators") ? ": distortion of column norms" : ": error"),
                        .x = {.label = size_label(group), .logarithmic = true},
                        .y = {.label = "relative error", .logarithmic = true},
                        .series = std::move(errors)});
    files.emplace_back(concat(group, ".svg"), plot::svg(charts));
  }
  const plot::Chart roof = roofline(points, limits, machine);
  if (!roof.series.empty()) files.emplace_back("roofline.svg", plot::svg({roof}));
  return files;
}

}  // namespace panther::bench
