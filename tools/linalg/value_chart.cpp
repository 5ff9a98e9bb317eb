#include "tools/linalg/value_chart.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "tools/plot/chart.h"

namespace panther::tools {

std::string value_chart_svg(const std::vector<double>& values, const std::string& title, const LinalgReport& report) {
  plot::Series falling{.name = "value i", .points = {}, .markers = values.size() <= 60};
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    falling.points.emplace_back(static_cast<double>(i + 1), values[i]);
    sum += values[i] * values[i];
  }
  const std::string of = concat(report.input, " (", report.rows, " x ", report.columns, ")");
  std::vector<plot::Chart> charts{
      {.title = concat(title, " of ", of), .x = {.label = "i"}, .y = {.label = "value", .logarithmic = true}, .series = {falling}}};
  const auto error = report.true_error ? report.true_error : report.error_estimate;
  if (error && *error < 1 && sum > 0) {
    // ||A||^2 = sum of all squares = sum / (1 - error^2), when the approximation is the projection the factors describe.
    const double whole = sum / (1 - *error * *error);
    plot::Series left{.name = "error of rank i", .points = {}, .markers = values.size() <= 60};
    double held = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      held += values[i] * values[i];
      left.points.emplace_back(static_cast<double>(i + 1), std::sqrt(std::max(whole - held, 0.0) / whole));
    }
    charts.push_back({.title = "relative error when the first i are kept",
                      .x = {.label = "i"},
                      .y = {.label = "||A - A_i|| / ||A||", .low = 0, .high = 1},
                      .series = {left}});
  }
  return plot::svg(charts);
}

}  // namespace panther::tools
