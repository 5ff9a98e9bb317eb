#pragma once
// The factorization behind LapackKernels::reconstruct_q: LU without pivoting of Q_1 - D, where each sign of D is chosen as its pivot comes up.
#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther::cuda {

/// Largest square that signed_lu takes on this device: it stands in the shared memory of one block.
std::int64_t signed_lu_side(int device);

/// In place over the column-major a_NN (f32 or f64, N <= signed_lu_side()): L strictly below the diagonal, U on and above it, D_j = -sign of the pivot in
/// signs_N (of a's dtype). |U_jj| >= 1 for what orthonormal columns leave.
void signed_lu(const TensorView& a_NN, const TensorView& signs_N, Stream stream);

/// From such factors of all N columns in a_NN: u = U and t = -U D with zeros below, tau_j = t_jj, and D r into the upper triangle of a.
void split_signed_lu(const TensorView& a_NN, const TensorView& signs_N, const TensorView& r_NN, const TensorView& tau_N, const TensorView& u_NN, const TensorView& t_NN,
                     Stream stream);

}  // namespace panther::cuda
