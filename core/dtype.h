#pragma once
// Element types that tensors, files and wires share.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/export.h"

namespace panther {

enum class DType : std::uint8_t { f64, f32, bf16, f16, i64, i32, u8 };

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::f64: case DType::i64: return 8;
    case DType::f32: case DType::i32: return 4;
    case DType::bf16: case DType::f16: return 2;
    case DType::u8: return 1;
  }
  return 0;
}

constexpr bool is_floating(DType dtype) noexcept { return dtype <= DType::f16; }

/// "f32" and so on, as configuration and logs spell it.
PANTHER_CORE_API std::string_view dtype_name(DType dtype) noexcept;
PANTHER_CORE_API std::optional<DType> parse_dtype(std::string_view name) noexcept;

}  // namespace panther
