// Charts: ticks are round, points land where the scale says, markup is well formed whatever the names are.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "tools/plot/chart.h"

namespace panther::plot {
namespace {

std::vector<double> labelled(double low, double high, bool logarithmic) {
  std::vector<double> values;
  for (const Tick& tick : ticks(low, high, logarithmic))
    if (tick.labelled) values.push_back(tick.value);
  return values;
}

TEST(Ticks, AreRoundNumbersWithinTheAxis) {
  EXPECT_EQ(labelled(0, 10, false), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(labelled(-1, 1, false).size(), 5u);
  EXPECT_EQ(labelled(1, 1000, true), (std::vector<double>{1, 10, 100, 1000}));
  const auto few = labelled(1, 20, true);
  ASSERT_EQ(few.size(), 5u);  // 1 2 5 10 20
  EXPECT_NEAR(few[4], 20, 1e-9);
  EXPECT_LE(labelled(1e-18, 1e6, true).size(), 10u);
  EXPECT_EQ(labelled(3, 3, false), std::vector<double>{3});
  for (const double scale : {1e-9, 1.0, 1e12}) {
    const auto values = labelled(0.13 * scale, 0.97 * scale, false);
    EXPECT_GE(values.size(), 3u);
    EXPECT_LE(values.size(), 9u);
    for (const double value : values) EXPECT_TRUE(value >= 0.13 * scale * (1 - 1e-9) && value <= 0.97 * scale * (1 + 1e-9));
  }
}

TEST(TickLabels, AreShort) {
  EXPECT_EQ(tick_label(0, false), "0");
  EXPECT_EQ(tick_label(0.25, false), "0.25");
  EXPECT_EQ(tick_label(20000, false), "20 k");
  EXPECT_EQ(tick_label(3e6, false), "3 M");
  EXPECT_NE(tick_label(1e-6, true).find("10<tspan"), std::string::npos);
  EXPECT_EQ(tick_label(100, true), "100");
}

TEST(Svg, PointsLandOnTheScaleAndNamesAreEscaped) {
  Chart chart{
      .title = "a < b & c", .x = {.label = "x", .low = 0, .high = 10}, .y = {.label = "y", .logarithmic = true, .low = 1, .high = 100}};
  chart.series = {
      {.name = "\"s\"", .points = {{0, 1}, {10, 100}, {5, 10}, {5, -1}, {std::nan(""), 1}, {1, std::numeric_limits<double>::infinity()}}}};
  const std::string text = svg({chart});
  // Frame: x from 84 to 644, y from 374 up to 44. Ten on a logarithmic axis from 1 to 100 is the middle.
  EXPECT_NE(text.find("points=\"84.0,374.0 644.0,44.0 364.0,209.0 \""), std::string::npos) << text;
  EXPECT_NE(text.find("a &lt; b &amp; c"), std::string::npos);
  EXPECT_NE(text.find("&quot;s&quot;"), std::string::npos);
  EXPECT_EQ(text.find("nan"), std::string::npos);
  EXPECT_EQ(text.find("inf"), std::string::npos);
}

TEST(Svg, OddDataStillGivesADrawing) {
  for (const bool logarithmic : {false, true})
    for (const std::vector<std::pair<double, double>>& points :
         std::vector<std::vector<std::pair<double, double>>>{{}, {{1, 1}}, {{0, 0}}, {{-1, -5}, {2, -5}}, {{1e-300, 1e300}, {1, 1}}}) {
      const std::string text = svg({{.title = "t",
                                     .x = {.logarithmic = logarithmic},
                                     .y = {.logarithmic = logarithmic},
                                     .series = {{.name = "s", .points = points}}}});
      EXPECT_EQ(text.find("nan"), std::string::npos);
      EXPECT_EQ(text.find("inf"), std::string::npos) << text;
      EXPECT_NE(text.find("</svg>"), std::string::npos);
    }
  EXPECT_THROW(svg({}), Error);
}

}  // namespace
}  // namespace panther::plot
