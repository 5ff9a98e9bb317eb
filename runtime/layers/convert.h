#pragma once
// From other weights to a layer: a dense matrix, or the predecessor's tensors.
#include "runtime/layers/layer.h"

namespace panther::runtime {

/// Sets W from weight_DO (D x O, any dtype and device) and the bias from bias_O. how: fitted (sketched: least squares; factorized:
/// SVD), unbiased (sketched), for dense layers a copy. An undefined bias_O means zeros; a defined one for a layer without
/// bias, or shapes that do not fit: InvalidArgument.
PANTHER_RUNTIME_API void initialise_from_dense(Linear& layer, const at::Tensor& weight_DO, const at::Tensor& bias_O, std::string_view how);

/// The predecessor's sketched layer: y = (1 / 2L) sum_l (x S1_l U1_l + x U2_l S2_l) + b, entries of U +-1 / sqrt(r).
struct ImportedTerms {
  at::Tensor s1s_LDr;
  at::Tensor s2s_LrO;
  at::Tensor u1s_LrO;
  at::Tensor u2s_LDr;
  at::Tensor bias_O;  ///< may be undefined
};

/// Gives a sketched layer built with init = imported the predecessor's function: R = L r and S = S_l / sqrt(L). Throws InvalidArgument when
/// shapes disagree, an entry of U is not +-1 / sqrt(r), or the layer has no stored signs.
PANTHER_RUNTIME_API void set_terms(Linear& layer, const ImportedTerms& terms);
/// A new layer with that function.
PANTHER_RUNTIME_API std::shared_ptr<Linear> import_terms(const ImportedTerms& terms, const std::string& path, const BuildContext& context);

}  // namespace panther::runtime
