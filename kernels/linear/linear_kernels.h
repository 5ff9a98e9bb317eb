#pragma once
// Products with a sketched layer's factors: thin matrices, half of whose entries are signs that may be stored as floats, as bits, or not
// at all. A KernelSet carries one table; kernels/linear/sketched_linear.h is written over it.
//
// Legend: B batch rows, D inputs, O outputs, R sketch size, N rows of a factor, L their length, W = sign_words(L).
#include "kernels/element/activation.h"
#include "kernels/kernel_set.h"

namespace panther {

/// Words of 32 signs that hold one vector of `length` elements: whole Philox blocks, so that bits are copied, never shifted.
constexpr std::int64_t sign_words(std::int64_t length) { return (length + 127) / 128 * 4; }

/// N rows of L values. Stored when stored_NL.data is set; else signs from bits_NW (i32 [N, W], contiguous: bit e % 32 of word e / 32
/// is element e, set means -1) when that is set; else signs generated from `key` (kernels/sketch/signs.h), row v being vector v.
struct ValueRows {
  std::int64_t rows = 0;
  TensorView stored_NL;
  TensorView bits_NW;
  SignKey key;
};

/// Rows of `top`, then rows of `bottom`, all of one length.
struct StackedRows {
  ValueRows top, bottom;
  std::int64_t rows() const { return top.rows + bottom.rows; }
};

/// What happens to a product z before it is stored as y: y = activation(z + bias).
struct LinearEpilogue {
  TensorView bias_O;                        ///< of y's dtype; data == nullptr: none
  Activation activation = Activation::none;
  TensorView aux_BO;                        ///< receives z + bias (of y's dtype), for backward; data == nullptr: not wanted
};

/// dz = dy * slope(activation, aux), dbias = beta * dbias + column sums of dz.
struct ActivationGradient {
  Activation activation = Activation::none;
  TensorView dy_BO;
  TensorView aux_BO;     ///< what the epilogue saved; not read without an activation
  TensorView dz_BO;      ///< may be dy_BO itself; data == nullptr: dz is not wanted
  TensorView dbias_O;    ///< data == nullptr: not wanted. Summed in f32 at least, in a fixed order
  double beta = 0;
};

/// Entries take strided views of one floating dtype, accumulate in f32 at least, allocate nothing and round once. beta == 0 never reads
/// the output. No value depends on the number of threads. `workspace` as for KernelSet::gemm.
struct LinearKernels {
  /// out_BN = alpha x_BL rows_NL^T + beta out_BN.
  void (*project)(double alpha, const TensorView& x_BL, const StackedRows& rows_NL, double beta, const TensorView& out_BN,
                  std::span<std::byte> workspace, Stream stream) = nullptr;
  /// out_BL = epilogue(alpha h_BN rows_NL + beta out_BL). Every h column is read.
  void (*combine)(double alpha, const TensorView& h_BN, const StackedRows& rows_NL, double beta, const TensorView& out_BL,
                  const LinearEpilogue& epilogue, std::span<std::byte> workspace, Stream stream) = nullptr;
  /// out_NL = alpha a_BN^T b_BL + beta out_NL: a long sum with few results. Parts of a split sum meet in a fixed order.
  void (*reduce)(double alpha, const TensorView& a_BN, const TensorView& b_BL, double beta, const TensorView& out_NL,
                 std::span<std::byte> workspace, Stream stream) = nullptr;
  /// project into h_BN, then combine it: y_BO = epilogue(alpha (x_BD p_ND^T) q_NO), for batches so small that launches and weights are
  /// what costs. CUDA: one kernel when plan_fused_forward() says that h fits, else the two.
  void (*fused_forward)(double alpha, const TensorView& x_BD, const StackedRows& p_ND, const StackedRows& q_NO, const TensorView& h_BN,
                        const TensorView& y_BO, const LinearEpilogue& epilogue, std::span<std::byte> workspace, Stream stream) = nullptr;
  void (*activation_backward)(const ActivationGradient& gradient, Stream stream) = nullptr;
  /// bits_NW of vectors 0 .. N - 1 of the key.
  void (*sign_bits)(SignKey key, const TensorView& bits_NW, Stream stream) = nullptr;
  /// out_NL[v, e] = scale * the value of rows.
  void (*expand_rows)(double scale, const StackedRows& rows, const TensorView& out_NL, Stream stream) = nullptr;
};

}  // namespace panther
