#pragma once
// What torch throws, in terms of who must act.
#include <c10/util/Exception.h>

#include "core/error.h"
#include "runtime/export.h"

namespace panther::runtime {

/// Memory that ran out, of the host or a device: OutOfMemory; a failed call of a device: DeviceFault; anything else: Internal, with torch's backtrace.
PANTHER_RUNTIME_API Error error_from(const c10::Error& error);

}  // namespace panther::runtime
