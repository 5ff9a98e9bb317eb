#pragma once
// Randomized Cholesky QR without pivoting: the R of a sketch preconditions Cholesky QR, which is then stable for any condition up to 1/u.
// Balabanov, "Randomized Cholesky QR factorizations" (arXiv 2210.09953); Higgins, Szyld, Boman, Yamazaki (arXiv 2309.05868). 3 m n^2 flops.
//
// Legend: M local rows, N columns.
#include <string>

#include "kernels/export.h"
#include "kernels/linalg/context.h"
#include "kernels/linalg/qr_quality.h"
#include "kernels/linalg/stages.h"
#include "kernels/matrix.h"

namespace panther::linalg {

struct CqrrtOptions {
  double sketch_factor = 1.25;      ///< rows of the sketch over N
  std::string sketch = "saso";  ///< as CqrrptOptions::sketch
  std::int64_t nonzeros = 4;
  bool estimate_error = true;
};

struct CqrrtResult {
  Matrix q_MN;  ///< split over ranks as the input
  Matrix r_NN;  ///< zeros below the diagonal, which is positive
  QrQuality quality;
  int passes = 1;
  bool shifted = false;
  std::vector<StageTime> stages;
};

/// Full column rank to working precision and total rows >= N are required: InvalidArgument says so and points to cqrrpt.
PANTHER_KERNELS_API CqrrtResult cqrrt(const Context& context, const TensorView& a_MN, const CqrrtOptions& options = {});

PANTHER_KERNELS_API std::int64_t cqrrt_bytes(std::int64_t rows, std::int64_t columns, DType dtype, const CqrrtOptions& options = {});

}  // namespace panther::linalg
