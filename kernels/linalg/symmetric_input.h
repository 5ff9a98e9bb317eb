#pragma once
// Square symmetric matrices whose rows may be split over ranks.
#include "kernels/linalg/arithmetic.h"

namespace panther::linalg {

/// checked_input, and square, and symmetric as far as two random vectors tell: ||A z - A^T z|| <= 100 sqrt(n) u ||A||_F ||z||.
Input symmetric_input(const Context& context, const TensorView& a_NN, const char* routine);
/// A x, whole on every rank; x_NL whole too.
Matrix whole_product(const Arithmetic& maths, const Input& a, const TensorView& x_NL);
/// This rank's rows of a matrix that is whole.
TensorView local_rows(const Arithmetic& maths, const Input& a, const TensorView& whole);
/// The diagonal, whole on every host.
std::vector<double> diagonal_of(const Arithmetic& maths, const Input& a);

}  // namespace panther::linalg
