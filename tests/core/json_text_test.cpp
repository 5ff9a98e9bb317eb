#include "core/json_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

namespace panther {
namespace {

using nlohmann::json;

TEST(JsonText, QuotedTextReadsBack) {
  for (const std::string text : {"", "plain", "a \"quote\" and a \\", "line\nline\r\ttab", "Größe ∑ 𝄞", "nul"})
    EXPECT_EQ(json::parse(json_quote(text)).get<std::string>(), text);
  std::string control;
  for (char c = 0; c < 0x20; ++c) control += c;
  EXPECT_EQ(json::parse(json_quote(control)).get<std::string>(), control);
}

TEST(JsonText, AnyBytesBecomeValidJson) {
  std::mt19937 random(11);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random() % 12, ' ');
    for (char& c : bytes) c = static_cast<char>(random() % 2 == 0 ? 0xc0 + random() % 64 : random());
    ASSERT_TRUE(json::accept(json_quote(bytes)));
  }
  EXPECT_EQ(json_quote("a\xff"), "\"a\xef\xbf\xbd\"");
  EXPECT_EQ(json::parse(json_quote("\xed\xa0\x80")).get<std::string>(), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") << "a surrogate";
}

TEST(JsonText, NumbersReadBackBitForBit) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(json::parse(json_number(value)).get<double>()), std::bit_cast<std::uint64_t>(value))
        << json_number(value);
  }
  EXPECT_EQ(json_number(0.1), "0.1");
  EXPECT_EQ(json_number(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(json_number(-std::numeric_limits<double>::infinity()), "null");
}

}  // namespace
}  // namespace panther
