#pragma once
// What panther-linalg says at the end: one screen, or one JSON object. Pure.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "tools/linalg/progress.h"
#include "tools/linalg/results.h"

namespace panther::tools {

struct LinalgReport {
  std::string command, input, method, reason;  ///< reason: why this method
  std::int64_t rows = 0, columns = 0;
  DType dtype = DType::f64;
  std::string device = "cpu";
  int threads = 1;
  std::optional<std::int64_t> rank;
  std::string error_of = "||A - approximation|| / ||A||, Frobenius";
  std::optional<double> error_estimate, true_error;
  std::optional<double> orthogonality;  ///< ||Q^T Q - I||, Frobenius, of --check
  std::optional<std::int64_t> iterations;
  double flops = 0;  ///< of the decomposition; 0: not counted
  double decompose_seconds = 0;
  double seconds = 0;             ///< all together
  std::vector<StageTime> stages;  ///< parts of the run; "decompose: sketch" are stages inside one, where a routine tells them
  std::int64_t peak_bytes = 0;    ///< resident memory, highest
  std::vector<WrittenFile> files;
  std::string plot;
  std::vector<std::string> notes;  ///< what somebody should know: streamed, rank smaller than asked for
};

std::string report_text(const LinalgReport& report);
std::string report_json(const LinalgReport& report);

/// Highest resident memory of this process so far, bytes.
std::int64_t peak_resident_bytes();

}  // namespace panther::tools
