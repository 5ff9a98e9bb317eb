// Products with a sign matrix that is generated panel by panel inside the packed matrix product.
#include <algorithm>

#include "kernels/check_arguments.h"
#include "kernels/cpu/entries.h"
#include "kernels/cpu/packed_gemm.h"
#include "kernels/cpu/sign_bits.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/sign.h"

namespace panther::cpu {
namespace {

static_assert(kTileK % 128 == 0 && kTileN % 32 == 0, "panels start on whole words of sign bits");

/// panel[p][width] for 32 consecutive elements p from one word of each of `width` vectors.
template <class T>
PANTHER_VECTORISED void expand_across(const std::uint32_t* words, std::int64_t depth, T* panel) {
  constexpr int width = kPanelColumns<T>;
  for (std::int64_t p = 0; p < depth; ++p) {
    for (int j = 0; j < width; ++j) panel[p * width + j] = with_sign(T{1}, (words[j] >> p) & 1u);
  }
}

/// Columns are sign vectors, depth runs over elements (a multiple of 256 first).
template <class T>
void pack_vectors(const PanelSource<T>& self, std::int64_t vector, std::int64_t vectors, std::int64_t element, std::int64_t depth, T* panel) {
  constexpr int width = kPanelColumns<T>;
  const std::int64_t blocks = (depth + 127) / 128;
  std::uint32_t bits[kTileN * kTileK / 32];
  sign_bits(self.key, vector, vectors, element / 128, blocks, bits);
  for (std::int64_t first = 0; first < vectors; first += width) {
    T* sliver = panel + first * depth;
    for (std::int64_t p = 0; p < depth; p += 32) {
      std::uint32_t words[width] = {};
      for (std::int64_t j = 0; j < std::min<std::int64_t>(width, vectors - first); ++j) words[j] = bits[(first + j) * blocks * 4 + p / 32];
      expand_across(words, std::min<std::int64_t>(32, depth - p), sliver + p * width);
    }
  }
}

/// panel[p][width] for `depth` vectors p, the bits of `width` elements standing at `shift` in each vector's word.
template <class T>
PANTHER_VECTORISED void expand_along(const std::uint32_t* words, std::int64_t word_stride, std::uint32_t shift, std::int64_t depth, T* panel) {
  constexpr int width = kPanelColumns<T>;
  for (std::int64_t p = 0; p < depth; ++p) {
    const std::uint32_t word = words[p * word_stride] >> shift;
    for (std::uint32_t j = 0; j < width; ++j) panel[p * width + j] = with_sign(T{1}, (word >> j) & 1u);
  }
}

/// Columns are elements (a multiple of 32 first), depth runs over sign vectors.
template <class T>
void pack_elements(const PanelSource<T>& self, std::int64_t element, std::int64_t elements, std::int64_t vector, std::int64_t depth, T* panel) {
  constexpr int width = kPanelColumns<T>;
  const std::int64_t first_block = element / 128, blocks = (element + elements - 1) / 128 - first_block + 1;
  std::uint32_t bits[kTileK * kTileN / 32];
  sign_bits(self.key, vector, depth, first_block, blocks, bits);
  for (std::int64_t first = 0; first < elements; first += width) {
    const std::int64_t bit = element + first - first_block * 128;
    expand_along(bits + bit / 32, blocks * 4, static_cast<std::uint32_t>(bit % 32), depth, panel + first * depth);
  }
}

template <class T>
void multiply(SignKey key, decltype(PanelSource<T>::pack) pack, double alpha, const TensorView& x, double beta, const TensorView& out) {
  PanelSource<T> signs;
  signs.pack = pack;
  signs.key = key;
  packed_gemm<T>({out.shape[0], out.shape[1], x.shape[1], static_cast<T>(alpha), static_cast<T>(beta), rows_of<T>(x), signs, out, TensorView{}});
}

}  // namespace

void sign_project(SignKey key, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Stream) {
  check::sign_product("sign_project", x_BE, out_BV, out_BV.shape[1], x_BE.shape[1]);
  if (out_BV.dtype == DType::f64) return multiply<double>(key, pack_vectors<double>, alpha, x_BE, beta, out_BV);
  multiply<float>(key, pack_vectors<float>, alpha, x_BE, beta, out_BV);
}

void sign_lift(SignKey key, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Stream) {
  check::sign_product("sign_lift", x_BV, out_BE, x_BV.shape[1], out_BE.shape[1]);
  if (out_BE.dtype == DType::f64) return multiply<double>(key, pack_elements<double>, alpha, x_BV, beta, out_BE);
  multiply<float>(key, pack_elements<float>, alpha, x_BV, beta, out_BE);
}

}  // namespace panther::cpu
