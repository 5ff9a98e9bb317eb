// Quantising on a device against the CPU. Figures in a message are sizes.
#include <cmath>
#include <limits>

#include "core/text.h"
#include "tests/kernels/pack_fixture.h"

namespace panther {
namespace {

using test::difficult;
using test::expect_same;
using test::kPackSizes;
using test::Mirror;
using test::normals;
using test::PackContract;
using test::zeros;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

struct Quantized {
  std::vector<std::byte> packed;
  std::vector<float> next;
};

Quantized quantize(DeviceKind device, bool shift, const QuantizeFormat& format, const std::vector<float>& gradient, const std::vector<float>& residual, bool stochastic) {
  const auto count = static_cast<std::int64_t>(gradient.size());
  Quantized result{std::vector<std::byte>(static_cast<std::size_t>(quantized_bytes(format, count)), std::byte{0xaa}), zeros(count)};
  Mirror m(device, shift);
  pack_kernels(device).quantize({.format = format, .gradient = m(gradient), .residual = m(residual), .next = m(result.next), .count = count,
                                 .packed = m(result.packed), .stochastic = stochastic, .key = 77, .step = 5}, {});
  m.fetch();
  return result;
}

std::vector<float> dequantize(DeviceKind device, const QuantizeFormat& format, const std::vector<std::byte>& packed, std::int64_t count) {
  auto out = zeros(count);
  Mirror m(device);
  const std::vector<const std::byte*> sources{m(packed)};
  pack_kernels(device).dequantize_sum(format, sources, count, false, m(out), {});
  m.fetch();
  return out;
}

// Stochastic codes follow from the largest magnitude alone and are the same bits; the others depend on sums, whose order is each device's own.
TEST_P(PackContract, QuantizeStochasticIsTheCpus) {
  for (const std::int64_t block : {8, 64, 512, 1024, 2048, 16384, 32776, 65536, 131072}) {
    for (const std::int64_t count : kPackSizes) {
      for (int bits = 1; bits <= 8; ++bits) {
        const bool shift = (bits + count) % 2 == 0;
        const auto gradient = difficult(count, 1), residual = normals(count, 2, 0.3);
        const Quantized a = quantize(DeviceKind::cpu, false, {bits, block}, gradient, residual, true), b = quantize(device(), shift, {bits, block}, gradient, residual, true);
        const std::string what = concat("quantize ", bits, " bits, block ", block, ", count ", count, shift ? ", shifted" : "");
        ASSERT_EQ(a.packed, b.packed) << what;
        expect_same(a.next, b.next, what);
      }
    }
  }
}

TEST_P(PackContract, QuantizeLeavesWhatIsNotDecodedAndErrsAsLittle) {
  for (const std::int64_t block : {8, 64, 512, 2048, 16384, 65536, 131072}) {
    for (const std::int64_t count : kPackSizes) {
      for (int bits = 1; bits <= 8; ++bits) {
        const bool shift = (bits + count) % 2 == 1;
        const auto gradient = normals(count, 3), residual = normals(count, 4, 0.3);
        const Quantized a = quantize(DeviceKind::cpu, false, {bits, block}, gradient, residual, false), b = quantize(device(), shift, {bits, block}, gradient, residual, false);
        const std::string what = concat("quantize ", bits, " bits, block ", block, ", count ", count, shift ? ", shifted" : "");
        const auto decoded = dequantize(device(), {bits, block}, b.packed, count), by_host = dequantize(DeviceKind::cpu, {bits, block}, b.packed, count);
        expect_same(decoded, by_host, "decoded: " + what);
        for (std::size_t i = 0; i < gradient.size(); ++i) ASSERT_EQ(b.next[i], gradient[i] + residual[i] - decoded[i]) << what << ", element " << i;
        // Another order of sums moves a scale by some units of f32, and the error is least at it.
        ASSERT_LE(std::abs(test::squared(a.next) - test::squared(b.next)), 1e-4 * test::squared(a.next) + 1e-9) << what;
        const std::size_t codes = static_cast<std::size_t>(quantize_blocks({bits, block}, count)) * 4 + static_cast<std::size_t>((count + 7) / 8 * bits);
        for (std::size_t i = codes; i < b.packed.size(); ++i) ASSERT_EQ(b.packed[i], std::byte{0}) << what;
      }
    }
  }
}

TEST_P(PackContract, QuantizeMarksBlocksThatAreNotFinite) {
  for (const std::int64_t block : {64, 2048, 65536}) {
    for (int bits = 1; bits <= 8; ++bits) {
      auto values = normals(2 * block + 5, 9);
      values[static_cast<std::size_t>(block + 3)] = bits % 2 == 0 ? kNan : -kInfinity;
      const Quantized q = quantize(device(), false, {bits, block}, values, {}, false);
      const auto decoded = dequantize(device(), {bits, block}, q.packed, 2 * block + 5);
      for (std::size_t i = 0; i < decoded.size(); ++i) {
        ASSERT_EQ(std::isnan(decoded[i]), static_cast<std::int64_t>(i) / block == 1) << bits << " bits, block " << block << ", element " << i;
      }
      std::vector<float> alarm{0};
      Mirror m(device());
      kernels().watch_scales(m(q.packed), 1, m(alarm), {});
      m.fetch();
      EXPECT_EQ(alarm[0], 0);
      kernels().watch_scales(m(q.packed), 3, m(alarm), {});
      m.fetch();
      EXPECT_TRUE(std::isnan(alarm[0]));
    }
  }
}

TEST_P(PackContract, DequantizeSumIsTheCpus) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t count : kPackSizes) {
      const QuantizeFormat format{bits, 64};
      std::vector<std::vector<std::byte>> packed;
      for (unsigned s = 0; s < 5; ++s) packed.push_back(quantize(DeviceKind::cpu, false, format, normals(count, s), {}, false).packed);
      for (const bool add : {false, true}) {
        const auto run = [&](DeviceKind where, bool shift) {
          auto out = normals(count, 50);
          Mirror m(where, shift);
          std::vector<const std::byte*> sources;
          for (const auto& one : packed) sources.push_back(m(one));
          pack_kernels(where).dequantize_sum(format, sources, count, add, m(out), {});
          m.fetch();
          return out;
        };
        expect_same(run(DeviceKind::cpu, false), run(device(), add), concat("dequantize ", bits, " bits, count ", count, ", add ", add));
      }
    }
  }
}

}  // namespace
}  // namespace panther
