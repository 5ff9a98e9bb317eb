#include "tools/measure/timing.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/error.h"
#include "core/json_text.h"
#include "kernels/cuda/device_memory.h"

namespace panther::measure {

double now_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Timing summarize(std::vector<double> seconds) {
  PANTHER_REQUIRE(!seconds.empty(), "no run was timed");
  std::sort(seconds.begin(), seconds.end());
  const auto quantile = [&](double share) {  // linear between neighbours
    const double place = share * static_cast<double>(seconds.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, seconds.size() - 1);
    return seconds[below] + (place - static_cast<double>(below)) * (seconds[above] - seconds[below]);
  };
  const double median = quantile(0.5);
  return {median, seconds.front(), median > 0 ? (quantile(0.75) - quantile(0.25)) / median : 0, static_cast<int>(seconds.size())};
}

namespace {

double time_once(const std::function<void()>& body, DeviceKind device) {
  const double begin = now_seconds();
  body();
  if (device == DeviceKind::cuda) device_synchronize();
  return now_seconds() - begin;
}

}  // namespace

std::vector<Timing> time_in_turns(const std::vector<std::function<void()>>& bodies, const TimingPlan& plan) {
  std::vector<std::vector<double>> seconds(bodies.size());
  for (int i = 0; i < plan.warm_ups; ++i)
    for (const auto& body : bodies) time_once(body, plan.device);
  const double begin = now_seconds();
  for (int run = 0; run < std::max(plan.most_runs, 1); ++run) {
    if (run >= plan.least_runs && run > 0 && now_seconds() - begin > plan.budget_seconds) break;
    for (std::size_t i = 0; i < bodies.size(); ++i) seconds[i].push_back(time_once(bodies[i], plan.device));
  }
  std::vector<Timing> result;
  for (std::vector<double>& each : seconds) result.push_back(summarize(std::move(each)));
  return result;
}

Timing time_runs(const std::function<void()>& body, const TimingPlan& plan) { return time_in_turns({body}, plan).front(); }

int threads() { return omp_get_max_threads(); }

void set_threads(int count) {
  PANTHER_REQUIRE(count >= 1, count, " threads: at least 1");
  omp_set_num_threads(count);
}

std::string json_line(const Figure& figure) {
  std::string line = concat("{\"name\":", json_quote(figure.name), ",\"device\":", json_quote(figure.device),
                            ",\"shape\":", json_quote(figure.shape), ",\"dtype\":", json_quote(figure.dtype), ",\"threads\":", threads(),
                            ",\"median_s\":", json_number(figure.timing.median), ",\"fastest_s\":", json_number(figure.timing.fastest),
                            ",\"spread\":", json_number(figure.timing.spread), ",\"runs\":", figure.timing.runs);
  const auto number = [&](const std::string& key, double value) { line += concat(",", json_quote(key), ":", json_number(value)); };
  if (figure.flops > 0) number("gflops", figure.gflops());
  if (figure.flops > 0 && figure.gemm_gflops > 0) number("gemm_share", figure.gflops() / figure.gemm_gflops);
  if (figure.bytes > 0) number("gb_per_s", figure.gbs());
  if (figure.bytes > 0 && figure.stream_gbs > 0) number("stream_share", figure.gbs() / figure.stream_gbs);
  if (figure.error >= 0) number("error", figure.error);
  for (const auto& [key, value] : figure.numbers) number(key, value);
  for (const auto& [key, value] : figure.words) line += concat(",", json_quote(key), ":", json_quote(value));
  return line + "}";
}

void print_json(const Figure& figure) {
  std::printf("%s\n", json_line(figure).c_str());
  std::fflush(stdout);
}

}  // namespace panther::measure
