#include "kernels/cpu/sign_table_steps.h"

namespace panther::cpu {

const SignTableSteps<float>* sign_table_avx512(float) noexcept { return nullptr; }

const SignTableSteps<double>* sign_table_avx512(double) noexcept { return nullptr; }

}  // namespace panther::cpu
