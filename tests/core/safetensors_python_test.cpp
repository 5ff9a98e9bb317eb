// Files cross to the Python package and back, bf16 too. safetensors_python.py is the other side.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>

#include "core/atomic_file.h"
#include "core/file_format/safetensors.h"
#include "core/text.h"
#include "temp_folder.h"

namespace panther {
namespace {

using test::TempFolder;

constexpr int kSkipped = 77;

class SafetensorsPython : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(PANTHER_PYTHON)) GTEST_SKIP() << "there is no " << PANTHER_PYTHON;
  }

  int run(const std::string& arguments) {
    const std::string command =
        concat("'", PANTHER_PYTHON, "' '", PANTHER_SCRIPT, "' ", arguments, " > '", (folder_ / "output").string(), "' 2>&1");
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }
  std::string output() { return read_file(folder_ / "output"); }

  TempFolder folder_;
};

template <class T>
void put(std::vector<std::byte>& out, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

std::uint16_t f16_bits(int value) {  // exact for the small whole numbers here
  if (value == 0) return 0;
  int exponent = 15, magnitude = std::abs(value);
  while ((magnitude >> (exponent - 14)) != 0) ++exponent;
  const int fraction = (magnitude << (10 - (exponent - 15))) & 0x3ff;
  return static_cast<std::uint16_t>((value < 0 ? 0x8000 : 0) | (exponent << 10) | fraction);
}

/// The bytes of {-4, -1, 2, 5, 8, 11}, or {0, 3, 6, 9, 12, 15} for u8.
std::vector<std::byte> counting(DType dtype) {
  std::vector<std::byte> out;
  for (int i = 0; i < 6; ++i) {
    const int value = 3 * i - (dtype == DType::u8 ? 0 : 4);
    switch (dtype) {
      case DType::f64: put(out, static_cast<double>(value)); break;
      case DType::f32: put(out, static_cast<float>(value)); break;
      case DType::bf16: break;  // has values of its own
      case DType::f16: put(out, f16_bits(value)); break;
      case DType::i64: put(out, static_cast<std::int64_t>(value)); break;
      case DType::i32: put(out, static_cast<std::int32_t>(value)); break;
      case DType::u8: put(out, static_cast<std::uint8_t>(value)); break;
    }
  }
  return out;
}

struct Reference {
  std::vector<std::pair<SafetensorsEntry, std::vector<std::byte>>> tensors;
  /// With spans into this object.
  std::vector<SafetensorsEntry> entries() const& {
    std::vector<SafetensorsEntry> result;
    for (const auto& [entry, bytes] : tensors) {
      result.push_back(entry);
      result.back().bytes = bytes;
    }
    return result;
  }
  std::vector<SafetensorsEntry> entries() && = delete;
};

Reference reference() {
  Reference result;
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::i64, DType::i32, DType::u8})
    result.tensors.push_back({{std::string(dtype_name(dtype)), dtype, {2, 3}, {}}, counting(dtype)});
  std::vector<std::byte> scalar;
  put(scalar, 2.5f);
  result.tensors.push_back({{"scalar", DType::f32, {}, {}}, scalar});
  result.tensors.push_back({{"empty", DType::f32, {0, 4}, {}}, {}});
  std::vector<std::byte> bf16;
  for (const std::uint16_t bits : {0x3f80, 0xc000, 0x3f00, 0x4040}) put(bf16, bits);  // 1, -2, 0.5, 3
  result.tensors.push_back({{"bf16", DType::bf16, {2, 2}, {}}, bf16});
  return result;
}

TEST_F(SafetensorsPython, OursOpensThere) {
  const auto path = folder_ / "ours.safetensors";
  const Reference known = reference();
  write_safetensors(path, known.entries(), {{"format", "pt"}, {"made by", "panther"}});
  const int result = run(concat("check '", path.string(), "'"));
  if (result == kSkipped) GTEST_SKIP() << "a package is not installed: " << output();
  EXPECT_EQ(result, 0) << output();
}

TEST_F(SafetensorsPython, OursOpensInTorchWithBf16) {
  const auto path = folder_ / "ours.safetensors";
  const Reference known = reference();
  write_safetensors(path, known.entries(), {{"format", "pt"}, {"made by", "panther"}});
  const int result = run(concat("check '", path.string(), "' torch"));
  if (result == kSkipped) GTEST_SKIP() << "a package is not installed: " << output();
  EXPECT_EQ(result, 0) << output();
}

TEST_F(SafetensorsPython, TheirsOpensHere) {
  const auto path = folder_ / "theirs.safetensors";
  const int result = run(concat("write '", path.string(), "'"));
  if (result == kSkipped) GTEST_SKIP() << "a package is not installed: " << output();
  ASSERT_EQ(result, 0) << output();
  const SafetensorsFile file(path);
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"made by", "python"}}));
  const Reference known = reference();
  const auto expected = known.entries();
  EXPECT_EQ(file.entries().size(), expected.size());
  for (const SafetensorsEntry& entry : expected) {
    const SafetensorsEntry* found = file.find(entry.name);
    ASSERT_NE(found, nullptr) << entry.name;
    EXPECT_EQ(found->dtype, entry.dtype) << entry.name;
    EXPECT_EQ(found->shape, entry.shape) << entry.name;
    EXPECT_TRUE(std::equal(found->bytes.begin(), found->bytes.end(), entry.bytes.begin(), entry.bytes.end())) << entry.name;
  }
}

}  // namespace
}  // namespace panther
