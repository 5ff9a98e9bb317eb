#pragma once
// Work that is ordered on a device's stream.
#include "comm/work.h"
#include "kernels/stream.h"

namespace panther::comm {

/// Done when everything enqueued on `stream` so far is done. Throws DeviceFault.
Work work_of_stream(Stream stream);

}  // namespace panther::comm
