#pragma once
// CUDA's entries of kernels/pack/pack_kernels.h.
#include "kernels/pack/pack_kernels.h"

namespace panther::cuda {
void quantize(const QuantizeArguments& arguments, Stream stream);
void dequantize_sum(const QuantizeFormat& format, std::span<const std::byte* const> sources, std::int64_t count, bool add, float* out, Stream stream);
void project(const ProjectArguments& arguments, Stream stream);
void project_transposed(const float* v_MN, std::int64_t rows, std::int64_t columns, std::int64_t rank, const float* factor_RM, float* projected_RN,
                        Stream stream);
void low_rank_update(const float* left_RM, const float* right_RN, std::int64_t rows, std::int64_t columns, std::int64_t rank, float* destination,
                     float share, float* next, Stream stream);
void orthonormalize(const OrthonormalizeArguments& arguments, Stream stream);
void spectrum(const float* factor_RM, std::int64_t rows, std::int64_t rank, double* out, Stream stream);
void top_k(const TopKArguments& arguments, Stream stream);
void take_elements(float* values, const std::uint32_t* indices, std::int64_t k, bool clear, float* out, Stream stream);
void put_elements(const float* in, const std::uint32_t* indices, std::int64_t k, bool add, std::int64_t count, float* values, float* alarm,
                  Stream stream);
void sample(const SampleArguments& arguments, Stream stream);
void place(const float* values, std::int64_t count, std::int64_t stride, std::uint64_t key, std::uint64_t step, float* out, Stream stream);
void running_mean(float keep, const float* mean, const float* gradient, std::int64_t count, float* out, Stream stream);
void rotate(const RotateArguments& arguments, Stream stream);
void count_sketch_insert(const CountSketchInsert& arguments, Stream stream);
void count_sketch_estimate(const CountSketch& sketch, const float* cells, std::int64_t count, float* out, Stream stream);
void touched_rows(const float* values_MN, std::int64_t rows, std::int64_t columns, std::uint8_t* bitmap, Stream stream);
void gather_rows(const float* values_MN, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* packed, Stream stream);
void scatter_rows(const float* packed, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* values_MN, Stream stream);
void watch(const float* values, std::int64_t count, float* alarm, Stream stream);
void watch_scales(const std::byte* packed, std::int64_t blocks, float* alarm, Stream stream);
void add_energy(const float* gradient, const float* residual, std::int64_t count, double* sum, double* scratch, Stream stream);
void limit_energy(float* values, std::int64_t count, const double* energy, const double* reference, double bound, Stream stream);
void clear(void* memory, std::int64_t bytes, Stream stream);
}  // namespace panther::cuda
