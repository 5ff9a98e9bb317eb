#pragma once
// A sketched layer with every storage of its signs, and its dense weight entry by entry in f64.
#include "kernels/linear/sketched_linear.h"
#include "tests/kernels/array.h"

namespace panther::test {

constexpr SignStorage kStorages[] = {SignStorage::expanded, SignStorage::bits, SignStorage::seed};

struct SketchedLayer {
  std::int64_t inputs, outputs, size;
  double alpha;
  SignKey u1, u2;
  Array pt, q, u1_bits, u2_bits;

  SketchedLayer(DType dtype, std::int64_t d, std::int64_t o, std::int64_t r, std::uint64_t seed)
      : inputs(d), outputs(o), size(r), alpha(0.5 / std::sqrt(static_cast<double>(r))), u1(sketched_linear_u1_key(seed, "layer")),
        u2(sketched_linear_u2_key(seed, "layer")), pt(random_matrix(dtype, 2 * r, d, seed)), q(random_matrix(dtype, 2 * r, o, seed + 1)),
        u1_bits(make_matrix(DType::i32, r, sign_words(o))), u2_bits(make_matrix(DType::i32, r, sign_words(d))) {
    for (std::int64_t v = 0; v < r; ++v) {
      for (std::int64_t i = 0; i < d; ++i) pt.set(r + v, i, sign_is_negative(u2, static_cast<std::uint32_t>(v), static_cast<std::uint32_t>(i)) ? -1 : 1);
      for (std::int64_t j = 0; j < o; ++j) q.set(v, j, sign_is_negative(u1, static_cast<std::uint32_t>(v), static_cast<std::uint32_t>(j)) ? -1 : 1);
    }
    cpu_kernels().linear->sign_bits(u1, u1_bits.view, {});
    cpu_kernels().linear->sign_bits(u2, u2_bits.view, {});
  }

  SketchedLinearWeights weights(SignStorage storage) const {
    if (storage == SignStorage::expanded) return {pt.view, q.view, alpha};
    return {pt.view.slice(0, size), q.view.slice(size, size), alpha, storage, u1_bits.view, u2_bits.view, u1, u2};
  }

  /// W = alpha (S1 U1 + U2 S2).
  Array dense() const {
    Array w = make_matrix(DType::f64, inputs, outputs);
    for (std::int64_t i = 0; i < inputs; ++i) {
      for (std::int64_t j = 0; j < outputs; ++j) {
        double sum = 0;
        for (std::int64_t r = 0; r < 2 * size; ++r) sum += pt.at(r, i) * q.at(r, j);
        w.set(i, j, alpha * sum);
      }
    }
    return w;
  }
};

/// a b in f64, whatever the dtypes.
inline Array multiply(const Array& a, const Array& b) {
  Array out = make_matrix(DType::f64, a.view.shape[0], b.view.shape[1]);
  for (std::int64_t i = 0; i < a.view.shape[0]; ++i) {
    for (std::int64_t j = 0; j < b.view.shape[1]; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < a.view.shape[1]; ++k) sum += a.at(i, k) * b.at(k, j);
      out.set(i, j, sum);
    }
  }
  return out;
}

inline Array transposed(const Array& a) {
  Array out = make_matrix(a.view.dtype, a.view.shape[1], a.view.shape[0]);
  for (std::int64_t i = 0; i < a.view.shape[0]; ++i) {
    for (std::int64_t j = 0; j < a.view.shape[1]; ++j) out.set(j, i, a.at(i, j));
  }
  return out;
}

/// ||a - b||_F / scale.
inline double distance(const Array& a, const Array& b, double scale) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.view.shape[0]; ++i) {
    for (std::int64_t j = 0; j < a.view.shape[1]; ++j) sum += std::pow(a.at(i, j) - b.at(i, j), 2);
  }
  return std::sqrt(sum) / scale;
}

inline double norm(const Array& a) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.view.shape[0]; ++i) {
    for (std::int64_t j = 0; j < a.view.shape[1]; ++j) sum += a.at(i, j) * a.at(i, j);
  }
  return std::sqrt(sum);
}

}  // namespace panther::test
