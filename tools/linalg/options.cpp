#include "tools/linalg/options.h"

#include <string_view>

namespace panther::tools {

namespace {

/// Options of some commands only, each in blanks.
const char* own_options(const std::string& command) {
  if (command == "svd") return " --rank --tol --power-iterations --oversampling --check --plot ";
  if (command == "qr") return " --rank --tol --check --plot ";
  if (command == "lstsq") return " --tol --check ";
  if (command == "id" || command == "cur") return " --rank --power-iterations --oversampling --check ";
  if (command == "nystrom") return " --rank --power-iterations --oversampling --check --plot ";
  return " --rank ";
}

constexpr std::string_view kOfAll = " -o --method --seed --dtype --device --threads --memory --tensor --json --force ";

}  // namespace

std::vector<OptionSpec> linalg_options(const std::string& command) {
  const bool sketch = command == "sketch", lstsq = command == "lstsq";
  std::vector<OptionSpec> all{
      {"-o", "OUT", "where the results go: .npy or .safetensors"},
      {"--rank", "K",
       sketch            ? "rows of the sketch"
       : command == "qr" ? "keep only the K leading columns of Q"
                         : "how many columns the factors have; at most min(m, n)"},
      {"--tol", "T",
       lstsq ? "when the iteration stops (1e-14 in f64, 1e-6 in f32)"
             : "instead of a rank: relative error wanted, ||A - approximation|| <= T ||A|| (Frobenius)"},
      {"--method", "NAME", "one of the methods below; auto chooses"},
      {"--power-iterations", "Q", "further passes over A that sharpen the range finder"},
      {"--oversampling", "P", "extra columns of the range finder (10)"},
      {"--seed", "N", "of every random choice; equal seeds give equal results (0)"},
      {"--dtype", "f32|f64", "arithmetic; by default that of the file (integers: f64)"},
      {"--device", "cpu|cuda", "where it runs (cpu)"},
      {"--threads", "N", "CPU threads (OMP_NUM_THREADS, else all)"},
      {"--memory", "LIMIT", "memory that may be used, e.g. 4GiB (what is available)"},
      {"--tensor", "NAME", "which tensor of a .safetensors file"},
      {"--check", "", lstsq ? "compute the residual again, from the files" : "compute the true error too, block by block"},
      {"--plot", "FILE.svg",
       command == "qr"        ? "plot of |R_ii|"
       : command == "nystrom" ? "plot of the eigenvalues"
                              : "plot of the singular values"},
      {"--json", "", "report as one JSON object"},
      {"--force", "", "replace results that exist"}};
  const std::string_view own = own_options(command);
  std::erase_if(all, [&](const OptionSpec& option) {
    const std::string name = " " + option.name + " ";
    return own.find(name) == std::string_view::npos && kOfAll.find(name) == std::string_view::npos;
  });
  return all;
}

}  // namespace panther::tools
