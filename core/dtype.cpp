#include "core/dtype.h"

#include <array>

namespace panther {

namespace {
constexpr std::array<std::string_view, 7> kNames{"f64", "f32", "bf16", "f16", "i64", "i32", "u8"};
}  // namespace

std::string_view dtype_name(DType dtype) noexcept {
  const auto index = static_cast<std::size_t>(dtype);
  return index < kNames.size() ? kNames[index] : std::string_view("invalid");
}

std::optional<DType> parse_dtype(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<DType>(i);
  return std::nullopt;
}

}  // namespace panther
