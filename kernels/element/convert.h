#pragma once
// One element from any type to any other, rounding to nearest even once. Floating to integer truncates, saturates and
// makes 0 of nan, so that no input is undefined behaviour and every device agrees.
#include <cstdint>
#include <type_traits>

#include "core/dtype.h"
#include "kernels/element/half.h"

namespace panther {

template <DType> struct ElementOf;
template <> struct ElementOf<DType::f64> { using type = double; };
template <> struct ElementOf<DType::f32> { using type = float; };
template <> struct ElementOf<DType::bf16> { using type = Bf16; };
template <> struct ElementOf<DType::f16> { using type = F16; };
template <> struct ElementOf<DType::i64> { using type = std::int64_t; };
template <> struct ElementOf<DType::i32> { using type = std::int32_t; };
template <> struct ElementOf<DType::u8> { using type = std::uint8_t; };
template <DType dtype> using Element = typename ElementOf<dtype>::type;

template <class T> inline constexpr bool kIsHalf = std::is_same_v<T, Bf16> || std::is_same_v<T, F16>;

/// What arithmetic on an element type is done in: f64, f32 or i64.
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, std::conditional_t<std::is_integral_v<T>, std::int64_t, float>>;

/// The integer kept to 53 significant bits, the lost ones leaving a trace in the last: exact as a double.
PANTHER_HOST_DEVICE inline double to_double_odd(std::int64_t value) {
  const std::uint64_t magnitude = value < 0 ? 0u - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  if (magnitude >> 53 == 0) return static_cast<double>(value);
  const std::uint64_t kept = ((magnitude >> 11) | ((magnitude & 2047u) != 0 ? 1u : 0u)) << 11;
  const double exact = static_cast<double>(kept);
  return value < 0 ? -exact : exact;
}

template <class To>
PANTHER_HOST_DEVICE inline To saturate(double value) {
  constexpr double low = std::is_same_v<To, std::int64_t> ? -9223372036854775808.0 : std::is_same_v<To, std::int32_t> ? -2147483648.0 : 0.0;
  constexpr double high = std::is_same_v<To, std::int64_t> ? 9223372036854775808.0 : std::is_same_v<To, std::int32_t> ? 2147483648.0 : 256.0;
  if (value != value) return To{0};
  if (value <= low) return static_cast<To>(low);
  if (value >= high) {
    return std::is_same_v<To, std::int64_t> ? static_cast<To>(INT64_MAX) : std::is_same_v<To, std::int32_t> ? static_cast<To>(INT32_MAX) : static_cast<To>(255);
  }
  return static_cast<To>(value);
}

template <class To, class From>
PANTHER_HOST_DEVICE inline To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (kIsHalf<From>) {
    return convert<To>(to_float(value));
  } else if constexpr (kIsHalf<To>) {
    float single;
    if constexpr (std::is_same_v<From, float>) single = value;
    else if constexpr (std::is_same_v<From, std::int64_t>) single = to_float_odd(to_double_odd(value));
    else single = to_float_odd(static_cast<double>(value));
    if constexpr (std::is_same_v<To, Bf16>) return to_bf16(single);
    else return to_f16(single);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    return saturate<To>(static_cast<double>(value));
  } else if constexpr (std::is_integral_v<To>) {
    constexpr std::int64_t low = std::is_same_v<To, std::int64_t> ? INT64_MIN : std::is_same_v<To, std::int32_t> ? INT32_MIN : 0;
    constexpr std::int64_t high = std::is_same_v<To, std::int64_t> ? INT64_MAX : std::is_same_v<To, std::int32_t> ? INT32_MAX : 255;
    const std::int64_t wide = value;
    return static_cast<To>(wide < low ? low : wide > high ? high : wide);
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace panther
