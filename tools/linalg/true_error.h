#pragma once
// What --check computes, in f64 and block by block: the error of the factors as they are stored, against the file itself.
#include <cstdint>
#include <functional>
#include <span>

#include "kernels/view.h"
#include "tools/linalg/matrix_input.h"

namespace panther::tools {

/// left_BK (f64, to be filled) for the rows [first, first + B) of A, which are given (f64).
using LeftRows = std::function<void(std::int64_t first, const TensorView& a_BN, const TensorView& left_BK)>;
using ShareDone = std::function<void(double)>;

/// ||A[:, columns] - left right||_F / ||A||_F. `right_KN` on the host, f32 or f64. `columns`: empty, or n of them (A P of a pivoted QR).
double true_relative_error(const MatrixInput& a, std::int64_t left_columns, const LeftRows& left, const TensorView& right_KN,
                           std::span<const std::int64_t> columns, const ShareDone& done);

/// Rows of a factor that is in memory (host, any strides).
LeftRows rows_of(const TensorView& factor_MK);

/// ||Q^T Q - I||_F of a host factor.
double orthogonality_error(const TensorView& q_MK);

}  // namespace panther::tools
