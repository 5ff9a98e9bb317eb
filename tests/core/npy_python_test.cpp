// Arrays cross to NumPy and back. npy_python.py is the other side.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "core/atomic_file.h"
#include "core/file_format/npy.h"
#include "core/text.h"
#include "expect_error.h"
#include "temp_folder.h"

namespace panther {
namespace {

using test::TempFolder;

struct Case {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  bool fortran_order;
};

std::vector<Case> cases() {
  std::vector<Case> result;
  for (const auto& [code, dtype] :
       {std::pair{"f8", DType::f64}, {"f4", DType::f32}, {"f2", DType::f16}, {"i8", DType::i64}, {"i4", DType::i32}, {"u1", DType::u8}})
    for (const auto& [name, shape] : std::vector<std::pair<std::string, std::vector<std::int64_t>>>{
             {"matrix", {2, 3}}, {"vector", {6}}, {"cube", {1, 2, 3}}, {"empty", {0, 3}}, {"scalar", {}}})
      for (const bool fortran : {false, true}) result.push_back({concat(code, "_", name, fortran ? "_F" : "_C"), dtype, shape, fortran});
  return result;
}

/// f16 bits of 3 i - 4 for i in [0, 6): -4 -1 2 5 8 11.
constexpr std::uint16_t kHalf[] = {0xc400, 0xbc00, 0x4000, 0x4500, 0x4800, 0x4980};

template <class T>
void put(std::vector<std::byte>& out, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

/// The bytes of element i in C order being 3 i - 4 (3 i for u8), in the order of the file.
std::vector<std::byte> bytes_of(const Case& each) {
  std::vector<std::byte> out;
  int count = 1;
  for (const auto dim : each.shape) count *= static_cast<int>(dim);
  for (int at = 0; at < count; ++at) {
    // A 2 x 3 or 1 x 2 x 3 array in Fortran order holds element (at % 2) * 3 + at / 2 at `at`.
    const int i = each.fortran_order && each.shape.size() >= 2 ? at % 2 * 3 + at / 2 : at;
    switch (each.dtype) {
      case DType::f64:
        put(out, 3.0 * i - 4);
        break;
      case DType::f32:
        put(out, 3.0f * static_cast<float>(i) - 4);
        break;
      case DType::f16:
        put(out, kHalf[i]);
        break;
      case DType::i64:
        put(out, std::int64_t{3} * i - 4);
        break;
      case DType::i32:
        put(out, 3 * i - 4);
        break;
      case DType::u8:
        put(out, static_cast<std::uint8_t>(3 * i));
        break;
      case DType::bf16:
        break;
    }
  }
  return out;
}

class NpyPython : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(PANTHER_PYTHON)) GTEST_SKIP() << "there is no " << PANTHER_PYTHON;
  }
  /// True when it ran; skips the case where NumPy is missing.
  int run(const std::string& what) {
    const std::string log = (folder_ / "output").string();
    const int status = std::system(
        concat("'", PANTHER_PYTHON, "' '", PANTHER_SCRIPT, "' ", what, " '", folder_.path().string(), "' > '", log, "' 2>&1").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }
  TempFolder folder_;
};

TEST_F(NpyPython, OursOpensThere) {
  for (const Case& each : cases()) write_npy(folder_ / (each.name + ".npy"), each.dtype, each.shape, bytes_of(each), each.fortran_order);
  const int result = run("check");
  if (result == 77) GTEST_SKIP() << read_file(folder_ / "output");
  EXPECT_EQ(result, 0) << read_file(folder_ / "output");
}

TEST_F(NpyPython, TheirsOpensHere) {
  const int result = run("write");
  if (result == 77) GTEST_SKIP() << read_file(folder_ / "output");
  ASSERT_EQ(result, 0) << read_file(folder_ / "output");
  for (const Case& each : cases()) {
    const NpyFile file(folder_ / (each.name + ".npy"));
    EXPECT_EQ(file.header().dtype, each.dtype) << each.name;
    EXPECT_EQ(file.header().shape, each.shape) << each.name;
    const auto expected = bytes_of(each);
    // NumPy writes arrays that are both C and Fortran contiguous as C.
    if (file.header().fortran_order == each.fortran_order)
      EXPECT_TRUE(std::equal(file.bytes().begin(), file.bytes().end(), expected.begin(), expected.end())) << each.name;
    else
      EXPECT_TRUE(each.shape.size() < 2 || expected.empty()) << each.name;
  }
  for (const char* version : {"version_1.npy", "version_2.npy", "version_3.npy"})
    EXPECT_EQ(NpyFile(folder_ / version).bytes().size(), 48u) << version;
  test::expect_error(ErrorCode::Unsupported, {"big-endian"}, [&] { NpyFile{folder_ / "big_endian.npy"}; });
  test::expect_error(ErrorCode::Unsupported, {"'<c16'"}, [&] { NpyFile{folder_ / "complex.npy"}; });
}

}  // namespace
}  // namespace panther
