#pragma once
#include "runtime/export.h"

namespace panther::runtime {

/// Once at the start of a program that trains: malloc keeps what is freed instead of giving it back to the system. A step frees and takes
/// the same tensors again; otherwise every step pays thousands of page faults and the zeroing of those pages (for a GPT of 4 x 256 some 2800
/// faults and a third of the step). The process then stays at its largest size.
PANTHER_RUNTIME_API void keep_freed_memory() noexcept;

}  // namespace panther::runtime
