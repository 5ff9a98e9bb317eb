#include "kernels/cpu/sparse_scatter_steps.h"

namespace panther::cpu {

AddWide<float> add_wide_avx512(float) noexcept { return nullptr; }

AddWide<double> add_wide_avx512(double) noexcept { return nullptr; }

AddRows<float> add_rows_avx512(float) noexcept { return nullptr; }

AddRows<double> add_rows_avx512(double) noexcept { return nullptr; }

}  // namespace panther::cpu
