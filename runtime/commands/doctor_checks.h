#pragma once
// What `panther doctor` looks at.
#include <string>
#include <vector>

namespace panther::runtime {

enum class Health { good, warning, bad };

/// One line of the report. `bad` makes the machine unusable; a `warning` is something some runs need.
struct Check {
  std::string name;
  Health health = Health::good;
  std::string found;
  std::string remedy;   ///< what to do; empty when good
};

/// All checks in the order of the report. The last one runs for about a second.
std::vector<Check> run_doctor_checks();

}  // namespace panther::runtime
