#include "core/file_format/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/error.h"

namespace panther::detail {

namespace {

using nlohmann::json;

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::size_t kPrefixBytes = 8;
constexpr int kMaxDims = 64;

std::string_view format_name(DType dtype) {
  switch (dtype) {
    case DType::f64: return "F64";
    case DType::f32: return "F32";
    case DType::bf16: return "BF16";
    case DType::f16: return "F16";
    case DType::i64: return "I64";
    case DType::i32: return "I32";
    case DType::u8: return "U8";
  }
  return "";
}

std::optional<DType> parse_format_name(std::string_view name) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64, DType::i32, DType::u8})
    if (format_name(dtype) == name) return dtype;
  return std::nullopt;
}

/// Element types of the format that Panther has no use for; anything else is damage.
bool is_foreign_dtype(std::string_view name) {
  static const std::set<std::string_view> names{"BOOL", "I8", "I16", "U16", "U32", "U64", "C64", "F4", "F6_E2M3", "F6_E3M2",
                                                "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"};
  return names.contains(name);
}

template <class... Parts>
[[noreturn]] void fail_damaged(std::string_view file, const Parts&... parts) {
  fail(ErrorCode::Corrupt, "'", file, "' is damaged: ", concat(parts...), "; use another copy");
}

/// Bytes of a shape, nullopt when they do not fit 63 bits or a dimension is negative.
std::optional<std::uint64_t> bytes_of(std::span<const std::int64_t> shape, DType dtype) {
  std::int64_t bytes = static_cast<std::int64_t>(size_of(dtype));
  for (const std::int64_t dim : shape)
    if (dim < 0 || __builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

/// Syntax, with what a parser into maps would swallow: names that come twice. Deeper than the format goes is refused early.
json parse_json(std::string_view text, std::string_view file) {
  std::vector<std::set<std::string>> open;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > 3) fail_damaged(file, "its header is nested more than three deep");
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second)
      fail_damaged(file, "its header has the name '", parsed.get<std::string>(), "' twice");
    return true;
  };
  try {
    json header = json::parse(text, watch);
    if (!header.is_object()) fail_damaged(file, "its header is not a JSON object");
    return header;
  } catch (const json::parse_error& error) {
    fail_damaged(file, "its header is not JSON at byte ", kPrefixBytes + error.byte);
  }
}

std::uint64_t whole_number(const json& value, std::string_view what, std::string_view name, std::string_view file) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    fail_damaged(file, "the ", what, " of '", name, "' is not a list of whole numbers");
  return value.get<std::uint64_t>();
}

const json& member(const json& entry, const char* key, json::value_t type, std::string_view name, std::string_view file) {
  const auto found = entry.find(key);
  if (found == entry.end() || found->type() != type) fail_damaged(file, "'", name, "' has no valid ", key);
  return *found;
}

SafetensorsRange parse_range(const std::string& name, const json& entry, std::uint64_t data_size, std::string_view file) {
  if (!entry.is_object()) fail_damaged(file, "the entry of '", name, "' is not an object");
  SafetensorsRange range;
  range.name = name;
  const std::string dtype = member(entry, "dtype", json::value_t::string, name, file).get<std::string>();
  const auto parsed = parse_format_name(dtype);
  if (!parsed && is_foreign_dtype(dtype))
    fail(ErrorCode::Unsupported, "'", file, "': '", name, "' has dtype ", dtype, "; supported: F64 F32 BF16 F16 I64 I32 U8");
  if (!parsed) fail_damaged(file, "the dtype of '", name, "' is not one of the format");
  range.dtype = *parsed;
  const json& shape = member(entry, "shape", json::value_t::array, name, file);
  if (shape.size() > kMaxDims) fail_damaged(file, "'", name, "' has ", shape.size(), " dimensions");
  for (const json& dim : shape) range.shape.push_back(static_cast<std::int64_t>(whole_number(dim, "shape", name, file)));
  const json& offsets = member(entry, "data_offsets", json::value_t::array, name, file);
  if (offsets.size() != 2) fail_damaged(file, "'", name, "' has ", offsets.size(), " data_offsets instead of 2");
  range.begin = whole_number(offsets[0], "data_offsets", name, file);
  range.end = whole_number(offsets[1], "data_offsets", name, file);
  if (range.begin > range.end || range.end > data_size)
    fail_damaged(file, "'", name, "' is said to lie in bytes ", range.begin, " to ", range.end, " of ", data_size, " data bytes");
  const auto bytes = bytes_of(range.shape, range.dtype);
  if (!bytes || *bytes != range.end - range.begin)
    fail_damaged(file, "the shape [", join(range.shape), "] of '", name, "' does not fit its ", range.end - range.begin, " bytes");
  return range;
}

std::map<std::string, std::string> parse_metadata(const json& entry, std::string_view file) {
  if (!entry.is_object()) fail_damaged(file, "its metadata is not an object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) fail_damaged(file, "its metadata '", key, "' is not text");
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

void check_tiling(const std::vector<SafetensorsRange>& ranges, std::uint64_t data_size, std::string_view file) {
  std::uint64_t end = 0;
  for (const SafetensorsRange& range : ranges) {
    if (range.begin < end) fail_damaged(file, "'", range.name, "' overlaps the tensor before it at data byte ", range.begin);
    if (range.begin > end) fail_damaged(file, "data bytes ", end, " to ", range.begin, ", before '", range.name, "', belong to no tensor");
    end = range.end;
  }
  if (end != data_size) fail_damaged(file, "its tensors have ", end, " bytes and the file has ", data_size, " bytes of data");
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_size, std::string_view file) {
  const json parsed = parse_json(text, file);
  SafetensorsHeader header;
  for (const auto& [name, entry] : parsed.items()) {
    if (name == kMetadata) {
      header.metadata = parse_metadata(entry, file);
    } else {
      header.ranges.push_back(parse_range(name, entry, data_size, file));
    }
  }
  std::stable_sort(header.ranges.begin(), header.ranges.end(), [](const SafetensorsRange& a, const SafetensorsRange& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  check_tiling(header.ranges, data_size, file);
  return header;
}

std::string make_safetensors_header(std::span<const SafetensorsEntry> entries, const std::map<std::string, std::string>& metadata) {
  try {
    std::string text = "{";
    if (!metadata.empty()) text += concat(json(kMetadata).dump(), ":", json(metadata).dump());
    std::set<std::string_view> names{kMetadata};
    std::uint64_t offset = 0;
    for (const SafetensorsEntry& entry : entries) {
      PANTHER_REQUIRE(names.insert(entry.name).second, "the tensor name '", entry.name, "' is reserved or comes twice");
      PANTHER_REQUIRE(entry.shape.size() <= kMaxDims, "tensor '", entry.name, "' has ", entry.shape.size(), " dimensions; at most ",
                      kMaxDims, " can be stored");
      const auto bytes = bytes_of(entry.shape, entry.dtype);
      PANTHER_REQUIRE(bytes && *bytes == entry.bytes.size(), "tensor '", entry.name, "' of shape [", join(entry.shape), "] and dtype ",
                      dtype_name(entry.dtype), " does not fit its ", entry.bytes.size(), " bytes");
      text += concat(text.size() > 1 ? "," : "", json(entry.name).dump(), R"(:{"dtype":")", format_name(entry.dtype), R"(","shape":[)",
                     join(entry.shape, ","), R"(],"data_offsets":[)", offset, ",", offset + *bytes, "]}");
      offset += *bytes;
    }
    return text + "}";
  } catch (const json::type_error& error) {
    fail(ErrorCode::InvalidArgument, "a tensor name or a metadata text is not UTF-8: ", error.what());
  }
}

}  // namespace panther::detail
