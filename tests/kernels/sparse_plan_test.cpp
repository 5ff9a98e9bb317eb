// Launch geometry of the sparse and Hadamard kernels, and the walk of the radix steps, without a GPU.
#include "kernels/cuda/sparse_plan.h"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "kernels/cuda/hadamard_plan.h"
#include "kernels/cuda/sketch_blocks.h"

namespace panther::cuda {
namespace {

TEST(SparsePlan, ChunksCoverTheMajorsWithinTheirLimits) {
  for (const std::int64_t majors : {std::int64_t{1}, std::int64_t{1000}, std::int64_t{131072}, std::int64_t{1} << 31}) {
    for (const int nonzeros : {1, 4, 256}) {
      for (const std::int64_t row_bytes : {std::int64_t{2}, std::int64_t{4096}, std::int64_t{1} << 26}) {
        const ScatterChunks plan = plan_scatter_chunks(majors, nonzeros, row_bytes);
        EXPECT_GE(plan.majors, 1);
        EXPECT_GE(plan.majors * plan.chunks, majors);
        EXPECT_LT(plan.majors * (plan.chunks - 1), majors);
        EXPECT_LE(plan.entries, kSparseChunkEntries);
        EXPECT_LE(plan.majors, std::max<std::int64_t>(1024, kSparseChunkBytes / row_bytes));
      }
    }
  }
}

TEST(SparsePlan, SlabsCoverTheMajorsAndFitTheirSharedMemory) {
  for (const std::int64_t majors : {std::int64_t{8192}, std::int64_t{10001}, std::int64_t{131072}, std::int64_t{1} << 20}) {
    for (const std::int64_t columns : {std::int64_t{32}, std::int64_t{70}, std::int64_t{1024}, std::int64_t{100000}}) {
      const SlabPlan plan = plan_slabs(majors, 1280, columns, 4, 4);
      ASSERT_TRUE(plan.fits);
      EXPECT_LE(plan.shared_bytes, kSlabSharedBytes);
      EXPECT_EQ(plan.majors_per_part % kSlabRows, 0);
      EXPECT_GE(plan.majors_per_part * plan.parts, majors);
      EXPECT_LT(plan.majors_per_part * (plan.parts - 1), majors);
    }
  }
  EXPECT_FALSE(plan_slabs(131072, 1280, 1024, 4, 8).fits) << "sums in f64 of 1280 places are 320 KiB";
  EXPECT_TRUE(plan_slabs(131072, 640, 1024, 4, 8).fits);
  EXPECT_FALSE(plan_slabs(131072, 1280, 8, 4, 4).fits);
  EXPECT_FALSE(plan_slabs(4096, 1280, 1024, 4, 4).fits);
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
