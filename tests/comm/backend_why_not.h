#pragma once
// Why a backend cannot run here, for tests that then skip.
#include <string>

#include "comm/group.h"

namespace panther::comm::testing {

/// "" when it can, and for worlds that are not a backend of their own.
inline std::string why_not(const std::string& backend) {
  for (const BackendStatus& status : backend_statuses()) {
    if (status.name == backend) return status.why_not;
  }
  return {};
}

}  // namespace panther::comm::testing
