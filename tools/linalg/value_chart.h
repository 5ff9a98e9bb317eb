#pragma once
// The plot of --plot: singular values, and the share of ||A||_F^2 that the leading ones hold. Pure.
#include <string>
#include <vector>

#include "tools/linalg/report.h"

namespace panther::tools {

/// `values` descending. The second panel is there when the report knows an error: the leading i values leave sqrt(error^2 ||A||^2 + sum of
/// the later ones).
std::string value_chart_svg(const std::vector<double>& values, const std::string& title, const LinalgReport& report);

}  // namespace panther::tools
