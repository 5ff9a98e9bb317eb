#include "core/file_format/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "core/atomic_file.h"
#include "core/crc32c.h"
#include "expect_error.h"
#include "temp_folder.h"

namespace panther {
namespace {

using test::expect_error;
using test::TempFolder;

std::vector<std::byte> counted(std::size_t size, unsigned first) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(first + i);
  return bytes;
}

TEST(Safetensors, RoundTripOfEveryDtypeAndShape) {
  const TempFolder folder;
  const auto path = folder / "a.safetensors";
  std::vector<std::vector<std::byte>> data;
  std::vector<SafetensorsEntry> entries;
  const auto add = [&](std::string name, DType dtype, std::vector<std::int64_t> shape) {
    const std::int64_t count = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
    data.push_back(counted(static_cast<std::size_t>(count) * size_of(dtype), static_cast<unsigned>(data.size())));
    entries.push_back({std::move(name), dtype, std::move(shape), {}});
  };
  add("u8", DType::u8, {3});
  add("z.f64", DType::f64, {2, 1, 3});
  add("a.f32", DType::f32, {5});
  add("bf16", DType::bf16, {1, 7});
  add("f16", DType::f16, {2, 2});
  add("i64", DType::i64, {4});
  add("i32 \"quoted\" é", DType::i32, {1, 1, 1});
  add("scalar", DType::f32, {});
  add("large", DType::u8, {3, 1'000'003});
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i].bytes = data[i];
  const std::map<std::string, std::string> metadata{{"format", "pt"}, {"note", "line\nline"}};
  const std::uint32_t crc = write_safetensors(path, entries, metadata);

  const SafetensorsFile file(path);
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.entries().size(), entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const SafetensorsEntry& back = file.entries()[i];
    EXPECT_EQ(back.name, entries[i].name) << "entries keep their order";
    EXPECT_EQ(back.dtype, entries[i].dtype);
    EXPECT_EQ(back.shape, entries[i].shape);
    EXPECT_TRUE(std::equal(back.bytes.begin(), back.bytes.end(), data[i].begin(), data[i].end()));
    EXPECT_EQ(file.find(entries[i].name), &back);
  }
  EXPECT_EQ(file.find("none"), nullptr);
  EXPECT_EQ((file.entries()[0].bytes.data() - file.bytes().data()) % 64, 0) << "data starts 64-byte aligned";
  EXPECT_EQ(crc32c(file.bytes()), crc);
  const std::string whole = read_file(path);
  EXPECT_EQ(crc32c(std::as_bytes(std::span(whole))), crc);
}

TEST(Safetensors, EmptyTensorsAndEmptyFiles) {
  const TempFolder folder;
  const auto path = folder / "a.safetensors";
  write_safetensors(path, {});
  EXPECT_TRUE(SafetensorsFile(path).entries().empty());
  const auto bytes = counted(4, 1);
  const std::vector<SafetensorsEntry> entries{
      {"none", DType::f32, {0, 3}, {}}, {"one", DType::f32, {1}, bytes}, {"none too", DType::i64, {2, 0}, {}}};
  write_safetensors(path, entries);
  SafetensorsFile file(path);
  EXPECT_EQ(file.find("none")->shape, (std::vector<std::int64_t>{0, 3}));
  EXPECT_EQ(file.find("one")->bytes.size(), 4u);
  EXPECT_EQ(file.find("none too")->bytes.size(), 0u);
  SafetensorsFile moved = std::move(file);
  EXPECT_EQ(moved.find("one")->bytes[3], std::byte{4}) << "spans live as long as the mapping, which moved";
}

TEST(Safetensors, WrongEntriesAreRefusedBeforeAnythingIsWritten) {
  const TempFolder folder;
  const auto path = folder / "a.safetensors";
  const auto bytes = counted(8, 0);
  const auto refused = [&](std::vector<SafetensorsEntry> entries, const std::string& piece) {
    expect_error(ErrorCode::InvalidArgument, {piece}, [&] { write_safetensors(path, entries); });
    EXPECT_FALSE(std::filesystem::exists(path));
  };
  refused({{"a", DType::f32, {3}, bytes}}, "tensor 'a' of shape [3] and dtype f32 does not fit its 8 bytes");
  refused({{"a", DType::f32, {-2}, bytes}}, "does not fit");
  refused({{"a", DType::f32, {std::int64_t{1} << 62, 4}, {}}}, "does not fit");
  refused({{"a", DType::f32, {2}, bytes}, {"a", DType::f32, {2}, bytes}}, "'a' is reserved or comes twice");
  refused({{"__metadata__", DType::f32, {2}, bytes}}, "reserved");
  refused({{"a\xff", DType::f32, {2}, bytes}}, "not UTF-8");
}

TEST(Safetensors, AFullDeviceAndAMissingFolderAreIoErrors) {
  const TempFolder folder;
  const auto bytes = counted(8, 0);
  const std::vector<SafetensorsEntry> entries{{"a", DType::f32, {2}, bytes}};
  expect_error(ErrorCode::Io, {"none/a.safetensors", "No such file"}, [&] { write_safetensors(folder / "none/a.safetensors", entries); });
  expect_error(ErrorCode::Io, {"cannot open", "check the path"}, [&] { SafetensorsFile{folder / "none"}; });
  expect_error(ErrorCode::Io, {"regular file"}, [&] { SafetensorsFile{folder.path()}; });
}

}  // namespace
}  // namespace panther
