#include "core/error.h"
#include "kernels/kernel_set.h"
#include "kernels/pack/pack_kernels.h"

namespace panther {

const PackKernels& cuda_pack_kernels() { fail(ErrorCode::Unsupported, why_no_cuda()); }

}  // namespace panther
