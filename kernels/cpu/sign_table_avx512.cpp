#include <cstddef>

#include "kernels/cpu/line.h"
#include "kernels/cpu/sign_table_steps.h"
#include "kernels/cpu/tile_kernels.h"

// What stands between push and pop may use AVX-512. sign_table_avx512(), which says whether it may be called, stands behind it.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq")

namespace panther::cpu {
namespace {

template <class T>
void build(const T* x, T* tables) {
  using V = typename Line<T>::type;
  constexpr std::int64_t rows = kTableRows<T>;
  for (std::int64_t g = 0; g < kTables; ++g, x += kTableGroup * rows, tables += kTableEntries * rows) {
    const auto line = [x](std::int64_t i) { return *reinterpret_cast<const V*>(x + i * rows); };
    const V a = line(0), b = line(1), c = line(2), d = line(3);
    const V first[4] = {a + b, b - a, a - b, -a - b}, second[4] = {c + d, d - c, c - d, -c - d};
#pragma GCC unroll 16
    for (int entry = 0; entry < kTableEntries; ++entry) *reinterpret_cast<V*>(tables + entry * rows) = first[entry % 4] + second[entry / 4];
  }
}

template <class T, bool lift>
void add(const T* tables, const std::uint8_t* index, std::int64_t stride, std::int64_t outputs, T* sums) {
  using V = typename Line<T>::type;
  constexpr std::int64_t rows = kTableRows<T>;
  for (std::int64_t o = 0; o < outputs; o += kSumsAtOnce, sums += kSumsAtOnce * rows) {
    V sum[kSumsAtOnce];
#pragma GCC unroll 6
    for (std::int64_t i = 0; i < kSumsAtOnce; ++i) sum[i] = *reinterpret_cast<const V*>(sums + i * rows);
    const std::uint8_t* chosen = index + (lift ? o : o * stride);
    const auto* table = reinterpret_cast<const std::byte*>(tables);
#pragma GCC unroll 2
    for (std::int64_t g = 0; g < kTables; ++g, table += kTableEntries * 64, chosen += lift ? stride : 1) {
#pragma GCC unroll 6
      for (std::int64_t i = 0; i < kSumsAtOnce; ++i) sum[i] += *reinterpret_cast<const V*>(table + std::size_t{8} * chosen[lift ? i : i * stride]);
    }
#pragma GCC unroll 6
    for (std::int64_t i = 0; i < kSumsAtOnce; ++i) *reinterpret_cast<V*>(sums + i * rows) = sum[i];
  }
}

template <class T> constexpr SignTableSteps<T> kSteps{build<T>, add<T, false>, add<T, true>};
const SignTableSteps<float>* const kFloat = &kSteps<float>;
const SignTableSteps<double>* const kDouble = &kSteps<double>;

}  // namespace
#pragma GCC pop_options

const SignTableSteps<float>* sign_table_avx512(float) noexcept { return tile_processor().avx512 ? kFloat : nullptr; }

const SignTableSteps<double>* sign_table_avx512(double) noexcept { return tile_processor().avx512 ? kDouble : nullptr; }

}  // namespace panther::cpu
