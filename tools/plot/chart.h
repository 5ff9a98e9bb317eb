#pragma once
// Line and point charts as SVG text: axes with round ticks, a legend, nothing that needs a font or a script. Pure.
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace panther::plot {

struct Axis {
  std::string label = {};
  bool logarithmic = false;                   ///< values that are not positive are left out
  std::optional<double> low = {}, high = {};  ///< else what the data needs, rounded outwards on a logarithmic axis
};

struct Series {
  std::string name = {};                               ///< "" stays out of the legend
  std::vector<std::pair<double, double>> points = {};  ///< nan and infinite ones are left out
  bool line = true;
  bool markers = true;
  bool limit = false;  ///< a bound, not a measurement: grey and dashed, no markers, named where it ends and not in the legend
};

struct Chart {
  std::string title = {};
  Axis x = {}, y = {};
  std::vector<Series> series = {};
};

struct Tick {
  double value = 0;
  bool labelled = true;
};

/// Round numbers within [low, high]: about six on a linear axis; decades on a logarithmic one, with 2 and 5 (or all digits, unlabelled)
/// where there are few decades.
std::vector<Tick> ticks(double low, double high, bool logarithmic);
/// "0.5", "2 k", "10^-6" with the exponent raised in SVG markup.
std::string tick_label(double value, bool logarithmic);
/// Charts below each other in one SVG document. Throws InvalidArgument when there is none.
std::string svg(const std::vector<Chart>& charts);

}  // namespace panther::plot
