// Launch geometry of the sparse and Hadamard kernels, and the walk of the radix steps, without a GPU.
#include "kernels/cuda/sparse_plan.h"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "kernels/cuda/hadamard_plan.h"
#include "kernels/cuda/register_transform_plan.h"
#include "kernels/cuda/sketch_blocks.h"

namespace panther::cuda {
namespace {

TEST(SparsePlan, ChunksAndPartsCoverTheMajorsWithinTheirLimits) {
  for (const std::int64_t majors : {std::int64_t{1}, std::int64_t{1000}, std::int64_t{131072}, std::int64_t{1} << 31}) {
    for (const std::int64_t minors : {1, 1280, 1 << 20}) {
      for (const int nonzeros : {1, 4, 256}) {
        for (const std::int64_t row_bytes : {std::int64_t{2}, std::int64_t{4096}, std::int64_t{1} << 26}) {
          for (const bool turned : {false, true}) {
            const ScatterPlan plan = plan_scatter(majors, minors, nonzeros, row_bytes, turned);
            EXPECT_GE(plan.majors, 1);
            EXPECT_GE(plan.majors * plan.chunks, majors);
            EXPECT_LT(plan.majors * (plan.chunks - 1), majors);
            EXPECT_LE(plan.entries, kScatterEntries);
            if (turned) {
              EXPECT_LE(plan.majors, std::max<std::int64_t>(1024, kTurnedBytes / row_bytes));
            }
            EXPECT_GE(plan.majors_per_part * plan.parts, plan.majors);
            EXPECT_LT(plan.majors_per_part * (plan.parts - 1), plan.majors);
            if (plan.parts > 1) {
              EXPECT_LE(plan.parts * minors, plan.majors / 2) << "sums of parts take at most half of what the rows take";
            }
          }
        }
      }
    }
  }
  EXPECT_EQ(plan_scatter(131072, 1280, 4, 4096, false).parts, 8);
  EXPECT_EQ(plan_scatter(131072, 1280, 4, 4096, false).chunks, 1);
  EXPECT_EQ(plan_scatter(131072, 1280, 1, 4096, false).parts, 1) << "10240 warps, and no row is read twice";
  EXPECT_EQ(plan_scatter(131072, 1280, 1, 512, false).parts, 7) << "1280 warps for a part";
}

TEST(HadamardPlan, PassesTransformEveryBitOnceWithinATile) {
  for (int bits = 0; bits <= 30; ++bits) {
    for (const std::int64_t columns : {1, 3, 16, 1000}) {
      for (const std::int64_t bytes : {4, 8}) {
        const TransformPlan plan = plan_transform(bits, columns, bytes, true);
        if (plan.passes == 0) continue;
        int sum = 0;
        for (int pass = 0; pass < plan.passes; ++pass) {
          sum += plan.bits[pass];
          EXPECT_LE((bytes * plan.lanes) << plan.bits[pass], kHadamardTileBytes);
        }
        EXPECT_EQ(sum, bits);
      }
    }
  }
  EXPECT_EQ(plan_transform(10, 1 << 18, 4, true).passes, 1);
  EXPECT_EQ(plan_transform(15, 8192, 4, true).passes, 2);
  EXPECT_EQ(plan_transform(15, 8192, 4, false).passes, 0) << "sums of two-byte elements are not kept between passes";
}

TEST(RegisterTransformPlan, PassesTransformEveryBitOnce) {
  for (int bits = 0; bits <= 30; ++bits) {
    const RegisterTransformPlan plan = plan_register_transform(bits, 64, true, true);
    int sum = 0;
    for (int pass = 0; pass < plan.passes; ++pass) {
      const RegisterPass split = register_pass(plan.bits[pass]);
      EXPECT_EQ(split.bits(), plan.bits[pass]);
      EXPECT_LE(split.low, 5);
      EXPECT_TRUE(split.high == 0 || split.low == split.high || split.low == split.high + 1);
      sum += plan.bits[pass];
    }
    EXPECT_EQ(sum, bits);
    EXPECT_EQ(plan.one_launch, bits > 10 && bits <= 15) << bits;
  }
  EXPECT_EQ(plan_register_transform(10, 64, false, true).passes, 0);
  EXPECT_EQ(plan_register_transform(10, 4, true, true).passes, 0);
  EXPECT_EQ(plan_register_transform(11, 64, true, false).passes, 0) << "sums of two-byte elements are not kept between passes";
}

TEST(RegisterTransformPlan, TilesAreTakenOnceAndSecondOnesAfterAllFirstOnesOfTheirPanel) {
  for (int bits = 11; bits <= 15; ++bits) {
    for (const std::int64_t bytes : {4, 8}) {
      for (const std::int64_t columns : {8, 100, 520, 8192}) {
        const int threads = register_pass_threads(bytes), first_bits = bits - kSecondPassBits;
        const std::int64_t lanes = threads >> register_pass(first_bits).high, groups = threads / kTransformPanelColumns;
        const PanelOrder order = plan_panels(bits, columns, std::int64_t{1} << first_bits, lanes, groups << kSecondPassBits, bytes);
        EXPECT_GE(order.panels * order.panel_columns, columns);
        EXPECT_LT((order.panels - 1) * order.panel_columns, columns);
        EXPECT_EQ(order.first_tiles * lanes << first_bits, order.panel_columns << bits) << "first tiles cover the panel";
        EXPECT_EQ(order.second_tiles * threads << kSecondPassBits, order.panel_columns << bits) << "second tiles cover the panel";
        std::vector<std::int64_t> first(static_cast<std::size_t>(order.panels)), second(first);
        for (std::int64_t number = 0; number < order.tiles(); ++number) {
          const PanelTile at = panel_tile(order, number);
          ASSERT_LT(at.panel, order.panels);
          auto& done = (at.second ? second : first)[static_cast<std::size_t>(at.panel)];
          ASSERT_EQ(at.tile, done++) << number;
          if (!at.second) continue;
          ASSERT_EQ(first[static_cast<std::size_t>(at.panel)], order.first_tiles) << number;
        }
        for (std::size_t p = 0; p < first.size(); ++p) {
          EXPECT_EQ(first[p], order.first_tiles);
          EXPECT_EQ(second[p], order.second_tiles);
        }
      }
    }
  }
}

TEST(RegisterTransformPlan, NeitherSideOfTheExchangeHasTwoLanesAtOneBank) {
  for (int bits = 6; bits <= 10; ++bits) {
    const RegisterPass pass = register_pass(bits);
    const int lanes = register_pass_threads(4) >> pass.high;
    for (int k = 0; k < 1 << pass.high; ++k) {
      for (int warp = 0; warp < register_pass_threads(4) / 32; ++warp) {
        unsigned writes = 0, reads = 0;
        for (int t = 32 * warp; t < 32 * (warp + 1); ++t) {
          const int lane = t % lanes, group = t / lanes;
          writes |= 1u << ((exchange_row((group << pass.low) + k, pass.low) * lanes + lane) % 32);
          reads |= 1u << ((exchange_row((k << pass.low) + group, pass.low) * lanes + lane) % 32);
        }
        EXPECT_EQ(writes, 0xffffffffu) << bits;
        EXPECT_EQ(reads, 0xffffffffu) << bits;
      }
    }
  }
}

TEST(SketchBlocks, AreWholePhiloxBlocksAndASmallPartOfS) {
  EXPECT_EQ(sketch_block_elements(256, 1 << 20, 2), kSketchBlockBytes / 512);
  EXPECT_EQ(sketch_block_elements(96, 12800, 4), 1536);
  EXPECT_EQ(sketch_block_elements(100000, 2048, 8), 128);
  for (const std::int64_t vectors : {1, 77, 4096}) EXPECT_EQ(sketch_block_elements(vectors, 100003, 4) % 128, 0);
}

TEST(SparsePlan, KeysTellEveryPlaceAndNoneApart) {
  EXPECT_EQ(key_bits(1), 1);
  EXPECT_EQ(key_bits(2), 2);
  EXPECT_EQ(key_bits(3), 2);
  EXPECT_EQ(key_bits(1280), 11);
  EXPECT_EQ(key_bits((std::int64_t{1} << 32) - 1), 32);
}

TEST(SparsePlan, GatherBlocksFitTheirSharedMemory) {
  for (int nonzeros = 1; nonzeros <= 256; ++nonzeros) {
    EXPECT_LE(plan_gather_majors(nonzeros) * nonzeros, kGatherEntries);
    EXPECT_LE(plan_gather_majors(nonzeros), kGatherMajors);
    EXPECT_GE(plan_gather_majors(nonzeros), 1);
  }
  EXPECT_LE(kGatherMajors, kThreads) << "one thread makes one major vector";
}

TEST(HadamardPlan, TilesFitSharedMemoryAndTwoPassesSuffice) {
  for (const std::int64_t bytes : {4, 8}) {
    const int longest = bytes == 4 ? 28 : 26;
    for (int log2 = 0; log2 <= 32; ++log2) {
      for (const std::int64_t columns : {1, 2, 3, 8, 1000}) {
        const HadamardTiles tiles = plan_hadamard_tiles(log2, columns, bytes);
        EXPECT_EQ(tiles.fits, log2 <= longest) << log2;
        if (!tiles.fits) continue;
        EXPECT_LE((bytes * tiles.lanes) << tiles.low_bits, kHadamardTileBytes);
        EXPECT_LE((bytes * tiles.lanes) << (log2 - tiles.low_bits), kHadamardTileBytes);
        EXPECT_TRUE(std::has_single_bit(static_cast<unsigned>(tiles.lanes)));
        EXPECT_LE(tiles.lanes, std::max<std::int64_t>(1, 2 * columns - 1));
      }
    }
  }
  EXPECT_EQ(plan_hadamard_tiles(17, 256, 4).lanes, 8);
  EXPECT_EQ(plan_hadamard_tiles(17, 256, 4).low_bits, 11);
}

TEST(HadamardPlan, PanelsAreWholeTiles) {
  EXPECT_EQ(plan_hadamard_panel(1, 1, 1, 4), 1);
  EXPECT_EQ(plan_hadamard_panel(0, 37, 8, 4), 40);
  EXPECT_EQ(plan_hadamard_panel(std::int64_t{1} << 40, 37, 8, 8), 8);
  const std::int64_t panel = plan_hadamard_panel(64 * 1300, 256, 8, 4);
  EXPECT_EQ(panel % 8, 0);
  EXPECT_LE(panel * 64 * 1300 * 4, kHadamardPanelBytes);
}

// The radix steps as the kernel walks them, over one lane: H of the definition.
TEST(HadamardPlan, RadixStepsMakeTheTransform) {
  for (const std::int64_t rows : {1, 2, 4, 8, 16, 32, 256, 2048}) {
    for (const std::int64_t p : {std::int64_t{0}, rows / 3, rows - 1}) {
      std::vector<int> x(static_cast<std::size_t>(rows));
      x[static_cast<std::size_t>(p)] = 1;
      for (std::int64_t distance = 1; distance < rows;) {
        const int radix = next_radix(distance, rows);
        std::vector<int> touched(x.size());
        for (std::int64_t group = 0; group < rows / radix; ++group) {
          const std::int64_t first = first_row_of_group(group, distance, radix);
          for (int g = 0; g < radix; ++g) ++touched[static_cast<std::size_t>(first + g * distance)];
          for (int apart = 1; apart < radix; apart *= 2) {
            for (int g = 0; g < radix; ++g) {
              if ((g & apart) != 0) continue;
              int &a = x[static_cast<std::size_t>(first + g * distance)], &b = x[static_cast<std::size_t>(first + (g + apart) * distance)];
              const int sum = a + b;
              b = a - b;
              a = sum;
            }
          }
        }
        ASSERT_EQ(touched, std::vector<int>(x.size(), 1)) << "every row belongs to one group";
        distance *= radix;
      }
      for (std::int64_t i = 0; i < rows; ++i) ASSERT_EQ(x[static_cast<std::size_t>(i)], std::popcount(static_cast<std::uint64_t>(i & p)) % 2 == 0 ? 1 : -1);
    }
  }
}

}  // namespace
}  // namespace panther::cuda
