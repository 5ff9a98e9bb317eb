#include "runtime/tensor/host_memory.h"

#include <malloc.h>

#include <climits>

namespace panther::runtime {

void keep_freed_memory() noexcept {
  // glibc takes nothing above half a heap of its arenas, 32 MiB.
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, INT_MAX);
  ::mallopt(M_TOP_PAD, 64 << 20);
}

}  // namespace panther::runtime
