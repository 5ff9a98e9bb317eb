// The header of .npy files: a Python dict literal. Only what NumPy writes there is understood; all else is named and refused.
#include <cctype>
#include <cstring>
#include <optional>

#include "core/error.h"
#include "core/file_format/npy.h"

namespace panther {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kAlignment = 64;
/// NumPy itself refuses longer headers unless told otherwise; ours hold three keys.
constexpr std::size_t kMaxHeaderBytes = 1'000'000;
constexpr std::size_t kMaxDims = 64;

struct Place {
  std::string_view name;
  std::size_t first = 0;  ///< byte of the file where the dict begins
};

template <class... Parts>
[[noreturn]] void fail_damaged(std::string_view name, const Parts&... parts) {
  fail(ErrorCode::Corrupt, "'", name, "' is damaged: ", concat(parts...), "; use another copy");
}

/// Reads the literal from left to right.
class Literal {
 public:
  Literal(std::string_view text, Place place) : text_(text), place_(place) {}

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail_damaged(place_.name, "its header at byte ", place_.first + at_, " ", concat(parts...));
  }
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(char wanted) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) refuse("has no '", wanted, "'");
  }
  bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }
  std::string_view quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') refuse("has no quoted word");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) refuse("has a word without an end");
    const std::string_view word = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return word;
  }
  bool boolean() {
    skip_blanks();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    refuse("has neither True nor False");
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> items;
    expect('(');
    while (!take(')')) {
      if (items.size() == kMaxDims) refuse("has more than ", kMaxDims, " dimensions");
      items.push_back(whole_number());
      if (!take(',')) {
        if (items.size() == 1) refuse("has one number in brackets that is not a tuple");
        expect(')');
        break;
      }
    }
    return items;
  }
  char next() {
    skip_blanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

 private:
  std::int64_t whole_number() {
    skip_blanks();
    const std::size_t begin = at_;
    std::int64_t value = 0;
    for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0; ++at_)
      if (__builtin_mul_overflow(value, std::int64_t{10}, &value) || __builtin_add_overflow(value, text_[at_] - '0', &value))
        refuse("has a dimension beyond 63 bits");
    if (at_ == begin) refuse("has no whole number");
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote long integers so
    return value;
  }

  std::string_view text_;
  Place place_;
  std::size_t at_ = 0;
};

std::optional<DType> parse_code(std::string_view code) {
  if (code == "f8") return DType::f64;
  if (code == "f4") return DType::f32;
  if (code == "f2") return DType::f16;
  if (code == "i8") return DType::i64;
  if (code == "i4") return DType::i32;
  if (code == "u1") return DType::u8;
  return std::nullopt;
}

std::string_view code_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "<f8";
    case DType::f32:
      return "<f4";
    case DType::f16:
      return "<f2";
    case DType::i64:
      return "<i8";
    case DType::i32:
      return "<i4";
    case DType::u8:
      return "|u1";
    case DType::bf16:
      break;
  }
  fail(ErrorCode::Unsupported, "NumPy has no bf16: store f32 as .npy, or bf16 as .safetensors");
}

bool is_type_code(std::string_view descr) {
  if (descr == "|O") return true;
  if (descr.size() < 3 || std::strchr("<>=|", descr[0]) == nullptr || std::strchr("biufcmMOSUVa", descr[1]) == nullptr) return false;
  for (const char c : descr.substr(2))
    if (std::isdigit(static_cast<unsigned char>(c)) == 0 && std::strchr("[]nsumhDWMYpfa", c) == nullptr) return false;
  return true;
}

DType dtype_of(std::string_view descr, std::string_view name) {
  if (!is_type_code(descr)) fail_damaged(name, "its element type '", descr, "' is none of NumPy's");
  const auto dtype = parse_code(descr.substr(1));
  if (dtype && descr[0] == '>' && *dtype != DType::u8)
    fail(ErrorCode::Unsupported, "'", name, "' holds big-endian numbers (", descr,
         "); store it again as little-endian, in Python: numpy.save(path, a.astype('<", descr.substr(1), "'))");
  if (!dtype)
    fail(ErrorCode::Unsupported, "'", name, "' has element type '", descr,
         "'; supported: f8 f4 f2 i8 i4 u1. Convert it, in Python: "
         "numpy.save(path, a.astype('<f8'))");
  return *dtype;
}

/// Offset and length of the dict.
std::pair<std::size_t, std::size_t> find_dict(std::span<const std::byte> file, std::string_view name) {
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(file[i]); };
  const std::size_t seen = std::min(file.size(), kMagic.size());
  PANTHER_REQUIRE(seen > 0 && std::memcmp(file.data(), kMagic.data(), seen) == 0, "'", name,
                  "' is not a .npy file: it does not begin with \\x93NUMPY; write it with numpy.save");
  if (file.size() < 10) fail_damaged(name, "it ends at byte ", file.size(), ", before the length of its header");
  const std::size_t version = byte(6);
  if (version < 1 || version > 3 || byte(7) != 0)
    fail(ErrorCode::Unsupported, "'", name, "' is .npy version ", version, ".", byte(7), "; versions 1.0, 2.0 and 3.0 are known");
  if (version == 1) return {10, byte(8) | byte(9) << 8};
  if (file.size() < 12) fail_damaged(name, "it ends at byte ", file.size(), ", before the length of its header");
  return {12, byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24};
}

void read_dict(Literal literal, std::string_view name, NpyHeader& header) {
  bool descr = false, order = false, shape = false;
  literal.expect('{');
  while (!literal.take('}')) {
    const std::string_view key = literal.quoted();
    literal.expect(':');
    if (key == "descr" && !descr) {
      if (literal.next() == '[')
        fail(ErrorCode::Unsupported, "'", name,
             "' holds records (a structured element type); store one field: numpy.save(path, a['field'])");
      header.dtype = dtype_of(literal.quoted(), name);
      descr = true;
    } else if (key == "fortran_order" && !order) {
      header.fortran_order = literal.boolean();
      order = true;
    } else if (key == "shape" && !shape) {
      header.shape = literal.tuple();
      shape = true;
    } else {
      literal.refuse("has an unknown or second key '", key, "'");
    }
    if (!literal.take(',')) {
      literal.expect('}');
      break;
    }
  }
  if (!literal.at_end()) literal.refuse("goes on after its end");
  if (!descr || !order || !shape) literal.refuse("lacks descr, fortran_order or shape");
}

}  // namespace

std::size_t NpyHeader::data_bytes() const noexcept {
  std::size_t bytes = size_of(dtype);
  for (const std::int64_t dim : shape) bytes *= static_cast<std::size_t>(dim);
  return bytes;
}

NpyHeader parse_npy_header(std::span<const std::byte> file, std::string_view name) {
  const auto [begin, length] = find_dict(file, name);
  if (length > file.size() - begin || length > kMaxHeaderBytes)
    fail_damaged(name, "byte 8 says a header of ", length, " bytes, the file has ", file.size());
  NpyHeader header;
  read_dict(Literal({reinterpret_cast<const char*>(file.data()) + begin, length}, {name, begin}), name, header);
  header.data_offset = begin + length;
  std::int64_t bytes = static_cast<std::int64_t>(size_of(header.dtype));
  bool empty = false;
  for (const std::int64_t dim : header.shape) empty |= dim == 0;
  for (const std::int64_t dim : header.shape)
    if (!empty && __builtin_mul_overflow(bytes, dim, &bytes))
      fail_damaged(name, "its shape (", join(header.shape), ") has more than 63 bits of bytes");
  if (empty) bytes = 0;
  const std::size_t there = file.size() - header.data_offset;
  if (there < static_cast<std::size_t>(bytes))
    fail_damaged(name, "its shape (", join(header.shape), ") of ", dtype_name(header.dtype), " needs ", bytes,
                 " bytes of data, the file has ", there);
  if (there > static_cast<std::size_t>(bytes))
    fail_damaged(name, there - static_cast<std::size_t>(bytes), " bytes follow its array (several arrays in one file are not read)");
  return header;
}

std::string make_npy_header(DType dtype, std::span<const std::int64_t> shape, bool fortran_order) {
  std::string dict = concat("{'descr': '", code_of(dtype), "', 'fortran_order': ", fortran_order ? "True" : "False", ", 'shape': (",
                            join(shape), shape.size() == 1 ? ",), }" : "), }");
  constexpr std::size_t kPrefixBytes = 10;
  PANTHER_REQUIRE(shape.size() <= kMaxDims, "an array of ", shape.size(), " dimensions; at most ", kMaxDims, " can be stored");
  const std::size_t padding = (kAlignment - (kPrefixBytes + dict.size() + 1) % kAlignment) % kAlignment;
  dict.append(padding, ' ');
  dict += '\n';
  std::string text(kMagic);
  for (const std::size_t part : {std::size_t{1}, std::size_t{0}, dict.size() & 0xff, dict.size() >> 8}) text += static_cast<char>(part);
  return text + dict;
}

}  // namespace panther
