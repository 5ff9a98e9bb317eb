#pragma once
// How long a call takes, and how a bench says so: medians with a spread, sides that take turns, one JSON line per figure.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/view.h"

namespace panther::measure {

struct Timing {
  double median = 0;   ///< seconds
  double fastest = 0;  ///< seconds
  double spread = 0;   ///< distance of the quartiles over the median
  int runs = 0;
};

/// Stops after `most_runs`, or when `least_runs` are done and `budget_seconds` are used.
struct TimingPlan {
  int warm_ups = 1;
  int least_runs = 3;
  int most_runs = 50;
  double budget_seconds = 1.0;
  DeviceKind device = DeviceKind::cpu;  ///< cuda: every run ends when the device's work is done
};

/// Seconds of monotonic time.
double now_seconds();
/// Median, fastest and spread of `seconds` (not empty; order does not matter).
Timing summarize(std::vector<double> seconds);
Timing time_runs(const std::function<void()>& body, const TimingPlan& plan = {});
/// The bodies take turns (a b c a b c ...), so that drift of the machine hits all alike. least_runs and most_runs count turns, the budget
/// is for all together. Compare medians of one call only.
std::vector<Timing> time_in_turns(const std::vector<std::function<void()>>& bodies, const TimingPlan& plan = {});

/// Threads that OpenMP regions (ours and OpenBLAS's) use.
int threads();
void set_threads(int count);

/// One measured figure. Zero fields are left out of the line.
struct Figure {
  std::string name = {};  ///< "cqrrpt", "saso.apply"
  std::string device = "cpu";
  std::string shape = {};  ///< "32768x1024"
  std::string dtype = {};
  Timing timing = {};
  double flops = 0;                                          ///< of one run: gives gflops
  double bytes = 0;                                          ///< that one run must move at least: gives gb_per_s
  double gemm_gflops = 0;                                    ///< of the same dtype, threads and device: gives gemm_share
  double stream_gbs = 0;                                     ///< gives stream_share
  double error = -1;                                         ///< < 0: not measured
  std::vector<std::pair<std::string, double>> numbers = {};  ///< further facts: "peer_s", "ratio", "rank"
  std::vector<std::pair<std::string, std::string>> words = {};

  double gflops() const { return timing.median > 0 ? flops / timing.median * 1e-9 : 0; }
  double gbs() const { return timing.median > 0 ? bytes / timing.median * 1e-9 : 0; }
};

/// {"name":...,"device":...,"shape":...,"dtype":...,"threads":...,"median_s":...,"spread":...,...} without a newline.
std::string json_line(const Figure& figure);
/// json_line to stdout, flushed.
void print_json(const Figure& figure);

}  // namespace panther::measure
