#include "tools/plot/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/error.h"

namespace panther::plot {
namespace {

constexpr std::array kColours{"#1f6fb2", "#d1495b", "#2e8b57", "#8d5fd3", "#c77c02", "#17a2a2", "#7a4b2a", "#e377c2", "#556b2f", "#222222"};
constexpr double kLeft = 84, kTop = 44, kPlotWidth = 560, kPlotHeight = 330, kBottom = 62, kLegendGap = 18, kCharacter = 6.9;

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else
      result += c;
  }
  return result;
}

std::string number(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f", value);
  return buffer;
}

bool shown(const std::pair<double, double>& point, const Chart& chart) {
  const auto [x, y] = point;
  return std::isfinite(x) && std::isfinite(y) && (!chart.x.logarithmic || x > 0) && (!chart.y.logarithmic || y > 0);
}

/// Values on an axis to pixels.
struct Scale {
  double low = 0, high = 1, from = 0, to = 1;
  bool logarithmic = false;
  double operator()(double value) const {
    const auto place = [&](double v) { return logarithmic ? std::log10(v) : v; };
    return from + (place(value) - place(low)) / (place(high) - place(low)) * (to - from);
  }
};

Scale make_scale(const Axis& axis, std::vector<double> values, double from, double to) {
  if (values.empty()) values = {1, 10};
  auto [low, high] = std::minmax_element(values.begin(), values.end());
  Scale scale{axis.low.value_or(*low), axis.high.value_or(*high), from, to, axis.logarithmic};
  if (axis.logarithmic) {
    // Outwards to the next 1, 2 or 5, so that the outermost points stand off the frame.
    const auto outwards = [](double value, bool up) {
      const double decade = std::pow(10, std::floor(std::log10(value)));
      std::array<double, 4> steps{1, 2, 5, 10};
      if (up) return decade * *std::find_if(steps.begin(), steps.end(), [&](double s) { return s * decade >= value * 1.02 || s == 10; });
      return decade * *std::find_if(steps.rbegin(), steps.rend(), [&](double s) { return s * decade <= value * 0.98 || s == 1; });
    };
    if (!axis.low) scale.low = outwards(scale.low, false);
    if (!axis.high) scale.high = outwards(scale.high, true);
    if (!(scale.high > scale.low)) scale.low /= 10, scale.high *= 10;
    return scale;
  }
  if (!(scale.high > scale.low))
    scale.low -= std::max(1.0, std::fabs(scale.low) * 0.1), scale.high += std::max(1.0, std::fabs(scale.high) * 0.1);
  const double margin = 0.03 * (scale.high - scale.low);
  if (!axis.low) scale.low = scale.low >= 0 && scale.low < 0.3 * scale.high ? 0 : scale.low - margin;
  if (!axis.high) scale.high += margin;
  return scale;
}

std::string text(double x, double y, const char* anchor, const std::string& content, const char* more = "") {
  return concat("<text x=\"", number(x), "\" y=\"", number(y), "\" text-anchor=\"", anchor, "\" ", more, ">", content, "</text>\n");
}

std::string rule(double x1, double y1, double x2, double y2, const char* colour) {
  return concat("<line x1=\"", number(x1), "\" y1=\"", number(y1), "\" x2=\"", number(x2), "\" y2=\"", number(y2), "\" stroke=\"", colour,
                "\"/>\n");
}

/// Four shapes in turn, so that charts can be read without colours.
std::string marker(std::size_t index, double x, double y, const char* colour) {
  constexpr double r = 4;
  const auto polygon = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string points;
    for (const auto& [dx, dy] : corners) points += concat(number(x + dx), ",", number(y + dy), " ");
    return concat("<polygon points=\"", points, "\" fill=\"", colour, "\"/>\n");
  };
  switch ((index + index / kColours.size()) % 4) {
    case 0:
      return concat("<circle cx=\"", number(x), "\" cy=\"", number(y), "\" r=\"", r - 0.3, "\" fill=\"", colour, "\"/>\n");
    case 1:
      return polygon({{-r + 0.5, -r + 0.5}, {r - 0.5, -r + 0.5}, {r - 0.5, r - 0.5}, {-r + 0.5, r - 0.5}});
    case 2:
      return polygon({{0, -r - 0.5}, {r + 0.3, r - 0.7}, {-r - 0.3, r - 0.7}});
    default:
      return polygon({{0, -r - 1}, {r + 1, 0}, {0, r + 1}, {-r - 1, 0}});
  }
}

std::string axes(const Chart& chart, const Scale& x, const Scale& y) {
  std::string out;
  const double right = kLeft + kPlotWidth, bottom = kTop + kPlotHeight;
  for (const Tick& tick : ticks(x.low, x.high, x.logarithmic)) {
    out += rule(x(tick.value), kTop, x(tick.value), bottom, tick.labelled ? "#d9d9d9" : "#efefef");
    if (tick.labelled) out += text(x(tick.value), bottom + 19, "middle", tick_label(tick.value, x.logarithmic));
  }
  for (const Tick& tick : ticks(y.low, y.high, y.logarithmic)) {
    out += rule(kLeft, y(tick.value), right, y(tick.value), tick.labelled ? "#d9d9d9" : "#efefef");
    if (tick.labelled) out += text(kLeft - 8, y(tick.value) + 4.5, "end", tick_label(tick.value, y.logarithmic));
  }
  out += concat("<rect x=\"", kLeft, "\" y=\"", kTop, "\" width=\"", kPlotWidth, "\" height=\"", kPlotHeight,
                "\" fill=\"none\" stroke=\"#666\"/>\n");
  out += text(kLeft, kTop - 16, "start", escaped(chart.title), "font-size=\"15\" font-weight=\"bold\"");
  out += text(kLeft + kPlotWidth / 2, bottom + 44, "middle", escaped(chart.x.label));
  return out + concat("<text transform=\"translate(22,", number(kTop + kPlotHeight / 2), ") rotate(-90)\" text-anchor=\"middle\">",
                      escaped(chart.y.label), "</text>\n");
}

const char* colour_of(const Series& series, std::size_t index) { return series.limit ? "#777777" : kColours[index % kColours.size()]; }

std::string curve(const Chart& chart, const Series& series, std::size_t index, const Scale& x, const Scale& y) {
  std::string path, marks;
  for (const auto& point : series.points) {
    if (!shown(point, chart)) continue;
    const double px = x(point.first), py = y(point.second);
    path += concat(number(px), ",", number(py), " ");
    if (series.markers && !series.limit) marks += marker(index, px, py, colour_of(series, index));
  }
  std::string out;
  if (series.line && !path.empty())
    out = concat("<polyline points=\"", path, "\" fill=\"none\" stroke=\"", colour_of(series, index), "\" stroke-width=\"",
                 series.limit ? "1.6" : "2", "\" stroke-linejoin=\"round\"", series.limit ? " stroke-dasharray=\"6 4\"" : "", "/>\n");
  // A bound is named where it ends: two of them look alike.
  if (series.limit && !series.points.empty() && shown(series.points.back(), chart))
    out += text(x(series.points.back().first) - 4, y(series.points.back().second) - 6, "end", escaped(series.name), "fill=\"#777777\"");
  return out + marks;
}

std::string legend(const Chart& chart) {
  std::string out;
  double y = kTop + 12;
  const double x = kLeft + kPlotWidth + kLegendGap;
  std::size_t index = 0;
  for (const Series& series : chart.series) {
    if (series.limit) continue;
    const char* colour = colour_of(series, index);
    if (!series.name.empty()) {
      if (series.line)
        out += concat("<line x1=\"", number(x), "\" y1=\"", number(y - 4), "\" x2=\"", number(x + 24), "\" y2=\"", number(y - 4), "\" stroke=\"", colour,
                      "\" stroke-width=\"2\"/>\n");
      if (series.markers) out += marker(index, x + 12, y - 4, colour);
      out += text(x + 31, y, "start", escaped(series.name));
      y += 20;
    }
    ++index;
  }
  return out;
}

double legend_width(const Chart& chart) {
  std::size_t longest = 0;
  for (const Series& series : chart.series) longest = std::max(longest, series.name.size());
  return longest == 0 ? 20 : kLegendGap + 31 + kCharacter * static_cast<double>(longest) + 10;
}

double height_of(const Chart& chart) {
  return std::max(kTop + kPlotHeight + kBottom, kTop + 20.0 * static_cast<double>(chart.series.size()) + 10);
}

std::string panel(const Chart& chart) {
  std::vector<double> xs, ys;
  for (const Series& series : chart.series)
    for (const auto& point : series.points)
      if (shown(point, chart)) xs.push_back(point.first), ys.push_back(point.second);
  const Scale x = make_scale(chart.x, xs, kLeft, kLeft + kPlotWidth), y = make_scale(chart.y, ys, kTop + kPlotHeight, kTop);
  std::string out = axes(chart, x, y);
  out += concat("<clipPath id=\"frame\"><rect x=\"", kLeft - 6, "\" y=\"", kTop - 6, "\" width=\"", kPlotWidth + 12, "\" height=\"",
                kPlotHeight + 12, "\"/></clipPath>\n<g clip-path=\"url(#frame)\">\n");
  std::size_t colour = 0;
  for (const Series& series : chart.series) out += curve(chart, series, series.limit ? 0 : colour++, x, y);
  return out + "</g>\n" + legend(chart);
}

}  // namespace

std::string svg(const std::vector<Chart>& charts) {
  PANTHER_REQUIRE(!charts.empty(), "there is no chart to draw");
  double width = 0, height = 0;
  for (const Chart& chart : charts) {
    width = std::max({width, kLeft + kPlotWidth + legend_width(chart), kLeft + 9 * static_cast<double>(chart.title.size())});
    height += height_of(chart);
  }
  std::string out = concat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", number(width), "\" height=\"", number(height),
                           "\" viewBox=\"0 0 ", number(width), " ", number(height),
                           "\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" font-size=\"12.5\" fill=\"#222\">\n",
                           "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
  double top = 0;
  for (const Chart& chart : charts) {
    out += concat("<g transform=\"translate(0,", number(top), ")\">\n", panel(chart), "</g>\n");
    top += height_of(chart);
  }
  return out + "</svg>\n";
}

}  // namespace panther::plot
