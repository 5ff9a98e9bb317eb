#pragma once
// A sweep for people: a table on the terminal and charts as SVG. Pure.
#include <string>
#include <utility>
#include <vector>

#include "tools/bench/sweep.h"

namespace panther::bench {

/// One group's points: name, shape, time, spread, GFLOP/s, share of GEMM, GB/s, share of memory, error.
std::string sweep_table(const std::vector<SweepPoint>& points);
/// File name and SVG text: "<group>.svg" (time and, where measured, error against size) and "roofline.svg".
std::vector<std::pair<std::string, std::string>> sweep_charts(const std::vector<SweepPoint>& points, const measure::MachineLimits& limits,
                                                              const std::string& machine);

}  // namespace panther::bench
