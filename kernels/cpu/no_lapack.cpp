// The twin of lapack_openblas.cpp where OpenBLAS is not built in.
#include "kernels/cpu/entries.h"

namespace panther::cpu {

const LapackKernels* lapack_kernels() { return nullptr; }

}  // namespace panther::cpu
