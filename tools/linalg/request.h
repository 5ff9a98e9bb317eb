#pragma once
// What somebody asks of panther-linalg: the command line, checked as far as it can be without opening a file. Pure.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "kernels/view.h"

namespace panther::tools {

class Outcome;
struct Work;

struct LinalgRequest {
  std::string command;  ///< qr svd lstsq id cur nystrom sketch
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path output;
  std::string method = "auto";  ///< a name of methods_of(command), or auto
  std::optional<std::int64_t> rank;
  std::optional<double> tolerance;  ///< relative, Frobenius norm
  std::optional<std::int64_t> power_iterations, oversampling;
  DeviceKind device = DeviceKind::cpu;
  std::uint64_t seed = 0;
  bool check = false, json = false, force = false;
  std::filesystem::path plot;  ///< empty: none
  std::string tensor;
  std::optional<int> threads;
  std::optional<DType> dtype;  ///< f32 or f64; nullopt: f64 for f64 and integers, else f32
  std::optional<std::int64_t> memory_bytes;
};

struct LinalgMethod {
  const char* name;
  const char* help;  ///< one line
};

struct LinalgCommand {
  const char* name;
  const char* arguments;  ///< "IN -o OUT"
  const char* help;       ///< one line
  const char* results;    ///< factors and their shapes
  std::vector<LinalgMethod> methods;
  const char* examples;
  Outcome (*run)(const Work& work);
};

/// In the order of the help.
const std::vector<LinalgCommand>& linalg_commands();
/// Throws InvalidArgument with the nearest known name.
const LinalgCommand& find_linalg_command(const std::string& name);

std::string linalg_overview();
std::string linalg_help(const LinalgCommand& command);

/// `words` follow the program's name; nullopt: help was asked for (the text is in `help`). Throws InvalidArgument: unknown commands,
/// options and methods with the nearest one, missing or malformed values, options that the command does not take.
std::optional<LinalgRequest> parse_linalg_request(const std::vector<std::string>& words, std::string& help);

/// "512 MiB", "2GiB", "1.5G", "800000000" to bytes. Throws InvalidArgument.
std::int64_t parse_bytes(const std::string& text);

}  // namespace panther::tools
