#include "tools/linalg/request.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/arguments.h"
#include "core/error.h"
#include "tools/linalg/options.h"

namespace panther::tools {
namespace {

bool is_one_of(const std::string& word, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* each) { return word == each; });
}

std::string choose_method(const LinalgCommand& command, const std::string& wanted) {
  std::vector<std::string> names{"auto"};
  for (const LinalgMethod& method : command.methods) names.emplace_back(method.name);
  if (std::find(names.begin(), names.end(), wanted) != names.end()) return wanted;
  const std::string near = nearest(wanted, names);
  fail(ErrorCode::InvalidArgument, "--method ", wanted, " is none of ", command.name,
       near.empty() ? "." : concat("; did you mean ", near, "?"), " Known: ", join(names));
}

std::int64_t at_least(std::int64_t least, std::int64_t value, const char* option, const char* what) {
  PANTHER_REQUIRE(value >= least, option, " ", value, ": ", what, " of at least ", least);
  return value;
}

constexpr std::int64_t kMostInteger = std::int64_t{1} << 30;  ///< sums and products of two stay far from overflow

std::optional<std::int64_t> optional_integer(const Arguments& arguments, const char* name, std::int64_t least, const char* what) {
  if (!arguments.value(name)) return std::nullopt;
  const std::int64_t value = at_least(least, arguments.integer(name, 0), name, what);
  PANTHER_REQUIRE(value <= kMostInteger, name, " ", value, ": ", what, " of at most ", kMostInteger);
  return value;
}

void read_choices(const Arguments& arguments, LinalgRequest& request) {
  const std::string device = arguments.value("--device").value_or("cpu");
  PANTHER_REQUIRE(is_one_of(device, {"cpu", "cuda"}), "--device ", device, " is neither cpu nor cuda");
  request.device = device == "cuda" ? DeviceKind::cuda : DeviceKind::cpu;
  if (const auto dtype = arguments.value("--dtype")) {
    PANTHER_REQUIRE(is_one_of(*dtype, {"f32", "f64"}), "--dtype ", *dtype, " is neither f32 nor f64");
    request.dtype = *dtype == "f32" ? DType::f32 : DType::f64;
  }
  if (const auto memory = arguments.value("--memory")) request.memory_bytes = parse_bytes(*memory);
}

/// What decides how much is computed.
void check_amount(const LinalgRequest& request) {
  const std::string& name = request.command;
  PANTHER_REQUIRE(!request.rank || !request.tolerance, "--rank and --tol exclude each other: a rank says how much, a tolerance how well");
  if (is_one_of(name, {"id", "cur", "nystrom", "sketch"}))
    PANTHER_REQUIRE(request.rank, name, " needs --rank K", name == "sketch" ? ": the rows of the sketch" : "");
  if (name == "svd" && request.method != "lapack")
    PANTHER_REQUIRE(request.rank || request.tolerance, "svd needs --rank K or --tol T (or --method lapack for all of it)");
  PANTHER_REQUIRE(request.plot.empty() || request.plot.extension() == ".svg", "--plot '", request.plot.string(), "': only .svg is written");
}

}  // namespace

std::int64_t parse_bytes(const std::string& text) {
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(end, text.data() + text.size());
  unit.erase(0, unit.find_first_not_of(' ') == std::string::npos ? unit.size() : unit.find_first_not_of(' '));
  double factor = 0;
  if (unit.empty() || unit == "B") factor = 1;
  constexpr std::string_view kUnits = "KMGT";
  if (!unit.empty() && kUnits.find(unit[0]) != std::string_view::npos &&
      (unit.size() == 1 || unit.substr(1) == "iB" || unit.substr(1) == "B"))
    factor = std::pow(1024.0, static_cast<double>(kUnits.find(unit[0]) + 1));
  PANTHER_REQUIRE(problem == std::errc() && factor > 0 && number > 0 && number * factor < 9e18, "'", text,
                  "' is not an amount of memory; write e.g. 512MiB or 4GiB");
  return static_cast<std::int64_t>(number * factor);
}

std::optional<LinalgRequest> parse_linalg_request(const std::vector<std::string>& words, std::string& help) {
  if (words.empty() || is_one_of(words[0], {"--help", "-h", "help"})) {
    help = words.size() > 1 ? linalg_help(find_linalg_command(words[1])) : linalg_overview();
    return std::nullopt;
  }
  const LinalgCommand& command = find_linalg_command(words[0]);
  const Arguments arguments(concat("panther linalg ", command.name, " ", command.arguments, " [options]"), linalg_options(command.name),
                            {words.begin() + 1, words.end()});
  if (arguments.wants_help()) {
    help = linalg_help(command);
    return std::nullopt;
  }
  LinalgRequest request;
  request.command = command.name;
  for (const std::string& word : arguments.positional()) request.inputs.emplace_back(word);
  const std::size_t wanted = request.command == "lstsq" ? 2 : 1;
  PANTHER_REQUIRE(request.inputs.size() == wanted, command.name, " takes ", wanted == 2 ? "two files, A and B" : "one file", ", not ",
                  request.inputs.size(), ": panther linalg ", command.name, " ", command.arguments);
  PANTHER_REQUIRE(arguments.value("-o"), "where should the results go? Add -o OUT.npy or -o OUT.safetensors");
  request.output = *arguments.value("-o");
  PANTHER_REQUIRE(is_one_of(request.output.extension().string(), {".npy", ".safetensors"}), "-o '", request.output.string(),
                  "' ends neither in .npy nor in .safetensors");
  request.method = choose_method(command, arguments.value("--method").value_or("auto"));
  request.rank = optional_integer(arguments, "--rank", 1, "a rank");
  request.power_iterations = optional_integer(arguments, "--power-iterations", 0, "a number");
  request.oversampling = optional_integer(arguments, "--oversampling", 0, "a number");
  if (arguments.value("--tol")) {
    request.tolerance = arguments.number("--tol", 0);
    PANTHER_REQUIRE(*request.tolerance > 0 && *request.tolerance < 1, "--tol ", *request.tolerance,
                    " is not between 0 and 1; it is a relative error");
  }
  request.seed = static_cast<std::uint64_t>(at_least(0, arguments.integer("--seed", 0), "--seed", "a number"));
  if (const auto threads = optional_integer(arguments, "--threads", 1, "a number"))
    request.threads = static_cast<int>(std::min<std::int64_t>(*threads, 4096));
  read_choices(arguments, request);
  request.check = arguments.flag("--check");
  request.json = arguments.flag("--json");
  request.force = arguments.flag("--force");
  request.plot = arguments.value("--plot").value_or("");
  request.tensor = arguments.value("--tensor").value_or("");
  check_amount(request);
  return request;
}

}  // namespace panther::tools
