#pragma once
// The small triangular factor that makes the rows of a generated Gaussian matrix orthonormal.
#include <cstdint>
#include <vector>

#include "kernels/sketch/dense_kernels.h"

namespace panther {

/// W (k x k, row-major, lower triangular, positive diagonal) with (W G)(W G)^T = I for the Gaussian G (k x n) of `key`, k <= n: the inverse transpose
/// of R in G^T = Q R, so that the rows of W G are uniform on the orthonormal k-frames of R^n (Stewart, SIAM J. Numer. Anal. 17, 1980; Mezzadri,
/// math-ph/0609050). Cholesky QR twice (Yamamoto et al., ETNA 44, 2015), in f64 on the host; G is drawn panel by panel, twice. The bits depend on the
/// key and the sizes alone. About 4 n k^2 flops and 2 n k words. Throws Internal when G is rank-deficient to working precision.
std::vector<double> orthogonalizing_factor(SignKey key, std::int64_t k, std::int64_t n);

}  // namespace panther
