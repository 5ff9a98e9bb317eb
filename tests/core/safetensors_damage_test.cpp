// Files that are cut, bent or hand-made wrong: each is refused with Corrupt or is structurally sound, and none crashes.
#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "core/atomic_file.h"
#include "core/file_format/safetensors.h"
#include "case_name.h"
#include "expect_error.h"
#include "temp_folder.h"

namespace panther {
namespace {

using test::expect_error;
using test::TempFolder;

std::string file_of(const std::string& header, std::size_t data_bytes) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i));
  return concat(text, header, std::string(data_bytes, 'd'));
}

/// Opens `content` as a file; when it is accepted, every entry must lie inside, tile the data and fit its shape.
bool accepted(const TempFolder& folder, const std::string& content) {
  const auto path = folder / "x.safetensors";
  DurableFile out(path);  // no rename: this runs thousands of times
  out.append(content);
  try {
    const SafetensorsFile file(path);
    const std::byte* at = file.entries().empty() ? nullptr : file.entries().front().bytes.data();
    for (const SafetensorsEntry& entry : file.entries()) {
      std::size_t bytes = size_of(entry.dtype);
      for (const std::int64_t dim : entry.shape) bytes *= static_cast<std::size_t>(dim);
      EXPECT_EQ(bytes, entry.bytes.size());
      EXPECT_EQ(entry.bytes.data(), at) << "no holes, no overlaps";
      at += entry.bytes.size();
      EXPECT_GE(entry.bytes.data(), file.bytes().data());
      EXPECT_LE(at, file.bytes().data() + file.bytes().size());
    }
    EXPECT_TRUE(at == nullptr || at == file.bytes().data() + file.bytes().size());
    return true;
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::Corrupt || error.code() == ErrorCode::Unsupported) << error.what();
    EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    return false;
  }
}

std::string small_file(const TempFolder& folder) {
  const auto path = folder / "small.safetensors";
  const std::vector<std::byte> data(24, std::byte{7});
  const std::vector<SafetensorsEntry> entries{{"w", DType::f32, {2, 2}, std::span(data).first(16)},
                                              {"b", DType::bf16, {4}, std::span(data).first(8)}};
  write_safetensors(path, entries, {{"format", "pt"}});
  return read_file(path);
}

TEST(SafetensorsDamage, EveryTruncationIsSeen) {
  const TempFolder folder;
  const std::string whole = small_file(folder);
  ASSERT_TRUE(accepted(folder, whole));
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(accepted(folder, whole.substr(0, size))) << size << " bytes";
  EXPECT_FALSE(accepted(folder, whole + "x")) << "one byte too many";
}

TEST(SafetensorsDamage, NoBitFlipInLengthOrHeaderCrashes) {
  const TempFolder folder;
  const std::string whole = small_file(folder);
  const std::size_t header_end = whole.size() - 24;
  int survived = 0;
  for (std::size_t bit = 0; bit < header_end * 8; ++bit) {
    std::string bent = whole;
    bent[bit / 8] = static_cast<char>(bent[bit / 8] ^ (1 << (bit % 8)));
    survived += accepted(folder, bent) ? 1 : 0;
  }
  EXPECT_LT(survived, static_cast<int>(header_end * 8) / 2) << "most flips break the structure";
}

TEST(SafetensorsDamage, RandomDamageNeverCrashes) {
  const TempFolder folder;
  const std::string whole = small_file(folder);
  std::mt19937 random(23);
  for (int round = 0; round < 2000; ++round) {
    std::string bent = whole;
    for (unsigned i = 1 + random() % 6; i > 0; --i) bent[random() % (bent.size() - 24)] = static_cast<char>(random());
    // The true length, so that the damage reaches the parser of the header.
    bent.replace(0, 8, whole, 0, 8);
    accepted(folder, bent);
  }
}

struct Header {
  std::string json;
  std::size_t data_bytes;
  std::string piece;
};
void PrintTo(const Header& value, std::ostream* out) { *out << test::case_name(concat(value.piece, " ", value.json)); }
class BadHeaders : public testing::TestWithParam<Header> {};

TEST_P(BadHeaders, AreCorruptAndSayWhy) {
  const TempFolder folder;
  write_file_atomic(folder / "x", file_of(GetParam().json, GetParam().data_bytes));
  expect_error(ErrorCode::Corrupt, {GetParam().piece, (folder / "x").string()}, [&] { SafetensorsFile{folder / "x"}; });
}

std::string entry(const std::string& name, const std::string& shape, int begin, int end) {
  return concat("\"", name, R"(":{"dtype":"U8","shape":)", shape, ",\"data_offsets\":[", begin, ",", end, "]}");
}

INSTANTIATE_TEST_SUITE_P(Ranges, BadHeaders, testing::Values(
    Header{concat("{", entry("a", "[4]", 0, 4), ",", entry("b", "[4]", 2, 6), "}"), 6, "overlaps"},
    Header{concat("{", entry("a", "[4]", 0, 4), ",", entry("b", "[4]", 0, 4), "}"), 4, "overlaps"},
    Header{concat("{", entry("a", "[2]", 0, 2), ",", entry("b", "[2]", 4, 6), "}"), 6, "belong to no tensor"},
    Header{concat("{", entry("a", "[2]", 1, 3), "}"), 3, "belong to no tensor"},
    Header{concat("{", entry("a", "[2]", 0, 2), "}"), 5, "its tensors have 2 bytes and the file has 5"},
    Header{"{}", 5, "its tensors have 0 bytes"},
    Header{concat("{", entry("a", "[2]", 4, 2), "}"), 4, "bytes 4 to 2 of 4"},
    Header{concat("{", entry("a", "[2]", 0, 9), "}"), 4, "bytes 0 to 9 of 4"},
    Header{concat("{", entry("a", "[3]", 0, 4), "}"), 4, "does not fit its 4 bytes"},
    Header{concat("{", entry("a", "[4294967296,4294967296]", 0, 4), "}"), 4, "does not fit"},
    Header{concat("{", entry("a", "[9223372036854775807,2]", 0, 4), "}"), 4, "does not fit"},
    Header{concat("{", entry("a", "[18446744073709551615]", 0, 4), "}"), 4, "whole numbers"}));

INSTANTIATE_TEST_SUITE_P(
    Structure, BadHeaders,
    testing::Values(Header{"", 0, "not JSON"}, Header{"[]", 0, "not a JSON object"}, Header{"3", 0, "not a JSON object"},
                    Header{"{", 0, "not JSON at byte"}, Header{"{} {}", 0, "not JSON"}, Header{"{\"a\":1}", 0, "not an object"},
                    Header{"{\"a\":{}}", 0, "'a' has no valid dtype"},
                    Header{R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0]}})", 1, "1 data_offsets instead of 2"},
                    Header{R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, "whole numbers"},
                    Header{R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "whole numbers"},
                    Header{R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, "whole numbers"},
                    Header{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1e0]}})", 1, "whole numbers"},
                    Header{R"({"a":{"dtype":"X9","shape":[1],"data_offsets":[0,1]}})", 1, "dtype of 'a' is not one"},
                    Header{R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", 1, "no valid dtype"},
                    Header{concat("{", entry("a", "[1]", 0, 1), ",", entry("a", "[1]", 0, 1), "}"), 1, "the name 'a' twice"},
                    Header{R"({"__metadata__":{"k":1}})", 0, "metadata 'k' is not text"},
                    Header{R"({"__metadata__":[]})", 0, "metadata is not an object"},
                    Header{std::string(100000, '['), 0, "nested more than three deep"}, Header{"{\"a\xff\":{}}", 0, "not JSON"}));

TEST(SafetensorsDamage, ADtypeOfTheFormatThatWeLackIsUnsupported) {
  const TempFolder folder;
  write_file_atomic(folder / "x", file_of(R"({"mask":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", 2));
  expect_error(ErrorCode::Unsupported, {"'mask' has dtype BOOL", "supported: F64"}, [&] { SafetensorsFile{folder / "x"}; });
}

TEST(SafetensorsDamage, AnAbsurdHeaderLengthIsRefusedBeforeAnyAllocation) {
  const TempFolder folder;
  std::string text = file_of("{}", 0);
  for (int i = 0; i < 8; ++i) text[static_cast<std::size_t>(i)] = '\xff';
  write_file_atomic(folder / "x", text);
  expect_error(ErrorCode::Corrupt, {"says a header of 18446744073709551615 bytes"}, [&] { SafetensorsFile{folder / "x"}; });
}

}  // namespace
}  // namespace panther
