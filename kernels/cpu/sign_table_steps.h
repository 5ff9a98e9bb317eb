#pragma once
// The two inner steps of sign_table.h's product, of which processors with AVX-512 have a form of their own.
#include <cstdint>

namespace panther::cpu {

inline constexpr int kTableGroup = 4, kTableEntries = 16;
inline constexpr std::int64_t kTables = 16;    ///< held at once: 16 KiB, half of the smallest first-level cache
inline constexpr std::int64_t kSumsAtOnce = 6; ///< outputs in registers
template <class T> inline constexpr std::int64_t kTableRows = 64 / static_cast<std::int64_t>(sizeof(T));  ///< of one tile: a cache line

/// All memory on cache lines.
template <class T>
struct SignTableSteps {
  /// tables[group][entry][row] from x[depth][row]; bit i of an entry's number negates element i of the group.
  void (*build)(const T* x, T* tables);
  /// sums[output][row] += the entries chosen, group after group. Index bytes are 8 * entry, at index[output * stride + group]. `outputs` is a
  /// multiple of kSumsAtOnce.
  void (*add)(const T* tables, const std::uint8_t* index, std::int64_t stride, std::int64_t outputs, T* sums);
  /// The same with index[group * stride + output].
  void (*add_lifted)(const T* tables, const std::uint8_t* index, std::int64_t stride, std::int64_t outputs, T* sums);
};

/// The same sums in the same order; nullptr where this processor has not the instructions. sign_table_avx512.cpp or no_sign_table_avx512.cpp,
/// chosen by CMake.
const SignTableSteps<float>* sign_table_avx512(float) noexcept;
const SignTableSteps<double>* sign_table_avx512(double) noexcept;

}  // namespace panther::cpu
