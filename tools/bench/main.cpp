// panther-bench: how fast the kernels are on this machine. `panther bench kernels` becomes this program.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/arguments.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/exit_code.h"
#include "tools/bench/sweep.h"
#include "tools/bench/sweep_text.h"

namespace panther::bench {
namespace {

std::vector<OptionSpec> options() {
  return {{"--quick", "", "small sizes only: seconds instead of minutes"},
          {"--plot", "DIR", "write SVG charts there: time and error against size, roofline"},
          {"--json", "", "one JSON object per figure instead of tables"},
          {"--only", "GROUP", "operators, qr, svd or linear; may be given several times"},
          {"--device", "cpu|cuda", "where the kernels run (cpu)"},
          {"--threads", "N", "CPU threads (OMP_NUM_THREADS, else all)"}};
}

using Sweep = std::vector<SweepPoint> (*)(const SweepPlan&);
const std::vector<std::pair<std::string, Sweep>>& groups() {
  static const std::vector<std::pair<std::string, Sweep>> kGroups{
      {"operators", &sweep_operators}, {"qr", &sweep_qr}, {"svd", &sweep_svd}, {"linear", &sweep_linear}};
  return kGroups;
}

std::vector<std::string> chosen_groups(const Arguments& arguments) {
  std::vector<std::string> names;
  for (const auto& [name, sweep] : groups()) names.push_back(name);
  const std::vector<std::string> wanted = arguments.values("--only");
  for (const std::string& each : wanted) {
    if (std::find(names.begin(), names.end(), each) != names.end()) continue;
    const std::string near = nearest(each, names);
    fail(ErrorCode::InvalidArgument, "--only ", each, " is none of ", join(names),
         near.empty() ? "" : concat("; did you mean ", near, "?"));
  }
  return wanted.empty() ? names : wanted;
}

void write_charts(const std::filesystem::path& folder, const std::vector<SweepPoint>& points, const SweepPlan& plan) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorCode::Io, "cannot create the folder '", folder.string(), "': ", error.message(), "; choose another one with --plot");
  for (const auto& [name, text] : sweep_charts(points, plan.limits, measure::machine_name(plan.kernels.device))) {
    write_file_atomic(folder / name, text);
    std::fprintf(stderr, "wrote %s\n", (folder / name).c_str());
  }
}

/// What is being measured, on a line that the next one replaces.
void tell(const std::string& what) {
  if (::isatty(STDERR_FILENO) == 1) std::fprintf(stderr, "\r\x1b[2K%s", what.c_str());
}

void print_limits(const SweepPlan& plan) {
  const measure::MachineLimits& limits = plan.limits;
  std::printf("%s, %d threads\n  GEMM %.1f GFLOP/s f64, %.1f GFLOP/s f32; memory: triad %.1f GB/s, read %.1f GB/s\n",
              measure::machine_name(plan.kernels.device).c_str(), measure::threads(), limits.gemm_f64_gflops, limits.gemm_f32_gflops,
              limits.triad_gbs, limits.read_gbs);
  std::fflush(stdout);
}

int bench_kernels(const Arguments& arguments) {
  if (const auto threads = arguments.value("--threads")) measure::set_threads(static_cast<int>(arguments.integer("--threads", 1)));
  const std::string device = arguments.value("--device").value_or("cpu");
  PANTHER_REQUIRE(device == "cpu" || device == "cuda", "--device ", device, " is neither cpu nor cuda");
  const std::vector<std::string> wanted = chosen_groups(arguments);
  const bool json = arguments.flag("--json");
  SweepPlan plan{
      .kernels = kernels_for(device == "cuda" ? DeviceKind::cuda : DeviceKind::cpu), .quick = arguments.flag("--quick"), .told = &tell};
  tell("GEMM and memory of this machine");
  plan.limits = measure::measure_limits(plan.kernels, plan.quick ? 768 : 1536);
  tell("");
  if (json) {
    plan.measured = [](const SweepPoint& point) { measure::print_json(point.figure); };
  } else {
    print_limits(plan);
  }
  std::vector<SweepPoint> points;
  for (const auto& [name, sweep] : groups()) {
    if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) continue;
    const std::vector<SweepPoint> found = sweep(plan);
    tell("");
    if (!json) std::printf("\n%s\n%s", name.c_str(), sweep_table(found).c_str());
    std::fflush(stdout);
    points.insert(points.end(), found.begin(), found.end());
  }
  if (const auto folder = arguments.value("--plot")) write_charts(*folder, points, plan);
  return kExitDone;
}

int body(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  const std::string usage = "panther bench kernels [options]";
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::fputs(
        (Arguments(usage, options(), {}).help() + "\nMeasures GEMM and memory first, then every kernel beside those limits.\n").c_str(),
        stdout);
    return kExitDone;
  }
  PANTHER_REQUIRE(words[0] == "kernels", "unknown bench '", words[0], "'",
                  nearest(words[0], {"kernels"}).empty() ? "." : "; did you mean 'kernels'?", " Known: kernels");
  words.erase(words.begin());
  const Arguments arguments(usage, options(), words);
  if (arguments.wants_help()) {
    std::fputs(arguments.help().c_str(), stdout);
    return kExitDone;
  }
  PANTHER_REQUIRE(arguments.positional().empty(), "'", join(arguments.positional()), "' is not understood\n", arguments.help());
  return bench_kernels(arguments);
}

}  // namespace
}  // namespace panther::bench

int main(int argc, char** argv) { return panther::run_main(&panther::bench::body, argc, argv); }
