#pragma once
// Two views of one shape walked together, with as few dimensions as their strides allow.
#include <cstdint>

#include "kernels/view.h"

namespace panther {

/// Plain arrays, so that kernels take it by value. Dimensions in order of the second view's strides, largest first; mergeable neighbours merged, sizes of 1 dropped.
struct StridedPair {
  int dims = 0;
  std::int64_t shape[TensorView::kMaxDims] = {};
  std::int64_t first[TensorView::kMaxDims] = {};
  std::int64_t second[TensorView::kMaxDims] = {};
};

/// Requires equal shapes without a 0.
inline StridedPair merge_dims(const TensorView& a, const TensorView& b) {
  StridedPair pair;
  for (int d = 0; d < a.dims; ++d) {
    if (a.shape[d] == 1) continue;
    int at = pair.dims++;
    for (; at > 0 && pair.second[at - 1] < b.strides[d]; --at) {
      pair.shape[at] = pair.shape[at - 1];
      pair.first[at] = pair.first[at - 1];
      pair.second[at] = pair.second[at - 1];
    }
    pair.shape[at] = a.shape[d];
    pair.first[at] = a.strides[d];
    pair.second[at] = b.strides[d];
  }
  int kept = 0;
  for (int d = 1; d < pair.dims; ++d) {
    const bool merge = pair.first[kept] == pair.first[d] * pair.shape[d] && pair.second[kept] == pair.second[d] * pair.shape[d];
    if (merge) {
      pair.shape[kept] *= pair.shape[d];
    } else {
      ++kept;
      pair.shape[kept] = pair.shape[d];
    }
    pair.first[kept] = pair.first[d];
    pair.second[kept] = pair.second[d];
  }
  pair.dims = pair.dims == 0 ? 0 : kept + 1;
  return pair;
}

}  // namespace panther
