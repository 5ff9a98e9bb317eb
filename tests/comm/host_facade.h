#pragma once
// A group over device memory, seen as one over host memory: every call copies to the device, runs there and copies back.
// So the contract of collectives runs on devices as it stands.
#include <memory>

#include "comm/collective.h"

namespace panther::comm::testing {

/// `inner` takes memory of CUDA device `device`.
std::unique_ptr<Collective> make_host_facade(std::unique_ptr<Collective> inner, int device);

}  // namespace panther::comm::testing
