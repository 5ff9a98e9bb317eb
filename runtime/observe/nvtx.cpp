#include "runtime/observe/nvtx.h"

#include <nvtx3/nvToolsExt.h>

namespace panther::runtime {

void nvtx_push(const char* name) noexcept { nvtxRangePushA(name); }
void nvtx_pop() noexcept { nvtxRangePop(); }

}  // namespace panther::runtime
