#include "kernels/pack/pack_kernels.h"

#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/kernel_set.h"
#include "kernels/pack/cuda/entries.h"

namespace panther {

const PackKernels& cuda_pack_kernels() {
  static constexpr PackKernels set{cuda::quantize, cuda::dequantize_sum, cuda::project, cuda::project_transposed, cuda::low_rank_update,
                                   cuda::orthonormalize, cuda::spectrum, cuda::top_k, cuda::take_elements, cuda::put_elements, cuda::sample,
                                   cuda::place, cuda::running_mean, cuda::rotate, cuda::count_sketch_insert, cuda::count_sketch_estimate,
                                   cuda::touched_rows, cuda::gather_rows, cuda::scatter_rows, cuda::watch, cuda::watch_scales, cuda::add_energy,
                                   cuda::limit_energy, cuda::clear};
  if (device_count() == 0) fail(ErrorCode::Unsupported, why_no_cuda());
  return set;
}

}  // namespace panther
