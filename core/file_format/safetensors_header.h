#pragma once
// The JSON header of a safetensors file. Private to core.
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file_format/safetensors.h"

namespace panther::detail {

struct SafetensorsRange {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  ///< from the start of the data
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsRange> ranges;  ///< in the order of their bytes; together they cover the data without holes or overlaps
  std::map<std::string, std::string> metadata;
};

/// Checks everything: syntax, names, dtypes, shapes against lengths, and that the ranges tile `data_size` bytes.
/// Throws Corrupt, or Unsupported for a dtype that the format has and Panther does not; `file` is for messages.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_size, std::string_view file);

/// The header's JSON, without padding. Throws InvalidArgument for names twice, shapes that do not fit, text that is not UTF-8.
std::string make_safetensors_header(std::span<const SafetensorsEntry> entries, const std::map<std::string, std::string>& metadata);

}  // namespace panther::detail
