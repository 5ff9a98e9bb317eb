#pragma once
// A cache line of elements as one vector, for code that is compiled for registers that wide.
namespace panther::cpu {

/// `type` lies on a cache line, `loose` anywhere.
template <class T> struct Line;
template <> struct Line<float> {
  typedef float type __attribute__((vector_size(64), may_alias));
  typedef float loose __attribute__((vector_size(64), aligned(4), may_alias));
};
template <> struct Line<double> {
  typedef double type __attribute__((vector_size(64), may_alias));
  typedef double loose __attribute__((vector_size(64), aligned(8), may_alias));
};

}  // namespace panther::cpu
