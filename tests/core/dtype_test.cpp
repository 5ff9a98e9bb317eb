#include "core/dtype.h"

#include <gtest/gtest.h>

namespace panther {
namespace {

TEST(DType, NamesReadBackAndSizesFollowThem) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64, DType::i32, DType::u8}) {
    const std::string_view name = dtype_name(dtype);
    EXPECT_EQ(parse_dtype(name), dtype);
    EXPECT_EQ(size_of(dtype) * 8, std::stoul(std::string(name.substr(name.find_first_of("0123456789"))))) << name;
    EXPECT_EQ(is_floating(dtype), name.find('f') != std::string_view::npos) << name;
  }
  EXPECT_EQ(parse_dtype("float"), std::nullopt);
  EXPECT_EQ(parse_dtype(""), std::nullopt);
}

}  // namespace
}  // namespace panther
