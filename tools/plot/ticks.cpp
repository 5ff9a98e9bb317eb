#include <cmath>
#include <cstdio>

#include "tools/plot/chart.h"

namespace panther::plot {
namespace {

std::vector<Tick> linear_ticks(double low, double high) {
  constexpr double kWanted = 6;
  const double raw = (high - low) / kWanted;
  const double magnitude = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * magnitude;
  for (const double factor : {5.0, 2.0, 1.0})
    if (factor * magnitude >= raw * 0.999) step = factor * magnitude;
  std::vector<Tick> result;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i)
    result.push_back({i * step == 0 ? 0.0 : i * step, true});
  return result;
}

std::vector<Tick> decade_ticks(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9)), last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
  const int decades = last - first;
  const int every = decades <= 8 ? 1 : (decades + 7) / 8;
  std::vector<Tick> result;
  for (int decade = first; decade <= last; ++decade)
    for (int digit = 1; digit <= 9; ++digit) {
      const double value = digit * std::pow(10.0, decade);
      if (value < low * (1 - 1e-9) || value > high * (1 + 1e-9)) continue;
      if (digit > 1 && decades > 6) continue;
      const bool labelled = digit == 1 ? (decade - first) % every == 0 : decades <= 2 && (digit == 2 || digit == 5);
      result.push_back({value, labelled});
    }
  return result;
}

}  // namespace

std::vector<Tick> ticks(double low, double high, bool logarithmic) {
  if (!(high > low)) return {{low, true}};
  return logarithmic ? decade_ticks(low, high) : linear_ticks(low, high);
}

std::string tick_label(double value, bool logarithmic) {
  char buffer[64];
  if (value == 0) return "0";
  const double size = std::fabs(value);
  if (logarithmic && (size < 0.9e-2 || size > 1.1e5)) {
    const double exponent = std::floor(std::log10(size) + 1e-9);
    const double digit = value / std::pow(10, exponent);
    const std::string front =
        std::fabs(digit - 1) < 1e-6 ? "" : (std::snprintf(buffer, sizeof buffer, "%.3g·", digit), std::string(buffer));
    std::snprintf(buffer, sizeof buffer, "10<tspan dy=\"-5\" font-size=\"10\">%s%.0f</tspan>", exponent < 0 ? "\xe2\x88\x92" : "",
                  std::fabs(exponent));
    return front + buffer;
  }
  for (const auto& [unit, suffix] : {std::pair{1e9, " G"}, {1e6, " M"}, {1e4, " k"}})
    if (size >= unit * 0.999) return std::snprintf(buffer, sizeof buffer, "%.4g%s", value / (unit == 1e4 ? 1e3 : unit), suffix), buffer;
  std::snprintf(buffer, sizeof buffer, "%.4g", value);
  return buffer;
}

}  // namespace panther::plot
