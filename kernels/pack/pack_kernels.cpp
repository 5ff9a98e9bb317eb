#include "kernels/pack/pack_kernels.h"

namespace panther {

const PackKernels& pack_kernels(DeviceKind device) {
  static constexpr PackKernels set{cpu::quantize, cpu::dequantize_sum, cpu::project, cpu::project_transposed, cpu::low_rank_update,
                                   cpu::orthonormalize, cpu::spectrum, cpu::top_k, cpu::take_elements, cpu::put_elements, cpu::sample, cpu::place,
                                   cpu::running_mean, cpu::rotate, cpu::count_sketch_insert, cpu::count_sketch_estimate, cpu::touched_rows,
                                   cpu::gather_rows, cpu::scatter_rows, cpu::watch, cpu::watch_scales, cpu::add_energy, cpu::limit_energy,
                                   cpu::clear};
  return device == DeviceKind::cpu ? set : cuda_pack_kernels();
}

std::int64_t quantize_blocks(const QuantizeFormat& format, std::int64_t count) { return (count + format.block - 1) / format.block; }

std::int64_t count_sketch_scratch(const CountSketch& sketch, std::int64_t count) {
  const std::int64_t places = sketch.columns / kCountSketchBlock, blocks = (count + kCountSketchBlock - 1) / kCountSketchBlock;
  return sketch.rows * (2 * places + blocks);
}

std::int64_t quantized_bytes(const QuantizeFormat& format, std::int64_t count) {
  const std::int64_t codes = (count + 7) / 8 * format.bits;
  const std::int64_t bytes = quantize_blocks(format, count) * static_cast<std::int64_t>(sizeof(float)) + codes;
  return (bytes + 63) / 64 * 64;
}

}  // namespace panther
