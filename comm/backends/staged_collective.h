#pragma once
// Device buffers over a backend that takes host memory: copied through pinned memory.
#include <memory>

#include "comm/collective.h"

namespace panther::comm {

/// Every call waits for the stream, copies to pinned host memory, runs, copies back on the stream and returns work that is
/// done when the copy back is. Throws Unsupported without a device.
std::unique_ptr<Collective> make_staged_collective(std::unique_ptr<Collective> host, Device device);

}  // namespace panther::comm
