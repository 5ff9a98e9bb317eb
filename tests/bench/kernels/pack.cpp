// Kernels of gradient compression beside STREAM's triad on the same memory: share = bytes that must move / time / triad.
//   bench_pack [threads ...]      default: 1 and all
#include <cstdlib>
#include <vector>

#include "core/text.h"
#include "kernels/pack/pack_kernels.h"
#include "tools/measure/stream_kernels.h"
#include "tools/measure/timing.h"

using namespace panther;

namespace {

constexpr std::int64_t kRows = 4096, kColumns = 4096, kCount = kRows * kColumns;  // 64 MiB of f32
constexpr int kRanks = 2;

struct Memory {
  std::vector<float> gradient, residual, next, out, p, q;
  std::vector<std::byte> packed;
  std::vector<double> a, b, c;
  std::vector<std::uint32_t> indices, scratch;
};

Memory make_memory() {
  Memory m;
  m.gradient.resize(kCount);
  m.residual.resize(kCount);
  m.next.resize(kCount);
  m.out.resize(kCount);
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < kCount; ++i) {  // a sum of four uniform values: bell-shaped
    float sum = -2;
    for (int k = 0; k < 4; ++k) sum += static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f;
    m.gradient[static_cast<std::size_t>(i)] = sum;
    m.residual[static_cast<std::size_t>(i)] = 0.5f * sum;
  }
  m.p.assign(kRows * 64, 0.01f);
  m.q.assign(4 << 20, 0.01f);  // and the cells of count sketches
  m.packed.resize(static_cast<std::size_t>(quantized_bytes({8, 512}, kCount)));
  m.a.assign(kCount / 2, 0.0);
  m.b.assign(kCount / 2, 1.0);
  m.c.assign(kCount / 2, 2.0);
  m.indices.resize(kCount / 50);
  m.scratch.resize(kTopKScratch);
  return m;
}

struct Case {
  std::string name;
  double bytes = 0;  ///< read and written once
  std::function<void()> body;
};

void report(Memory& m, const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    const auto timings = measure::time_in_turns({one.body, [&] { measure::triad(m.a.data(), m.b.data(), m.c.data(), 3.0, kCount / 2); }},
                                                {.least_runs = 5, .budget_seconds = 1.2});
    const double triad = 24.0 * (kCount / 2) / timings[1].median * 1e-9;
    measure::print_json({.name = one.name, .shape = "4096x4096", .dtype = "f32", .timing = timings[0], .bytes = one.bytes, .stream_gbs = triad});
  }
}

}  // namespace

int main(int argc, char** argv) {
  Memory m = make_memory();
  const PackKernels& k = pack_kernels(DeviceKind::cpu);
  std::vector<Case> cases;
  for (const int bits : {1, 2, 4, 8}) {
    const QuantizeFormat format{bits, 512};
    const auto packed = static_cast<double>(quantized_bytes(format, kCount));
    const auto arguments = [&m, format](bool stochastic) {
      return QuantizeArguments{.format = format, .gradient = m.gradient.data(), .residual = m.residual.data(), .next = m.next.data(), .count = kCount,
                               .packed = m.packed.data(), .stochastic = stochastic, .key = 1};
    };
    cases.push_back({concat("quantize_feedback_", bits), 12.0 * kCount + packed, [&k, arguments] { k.quantize(arguments(false), {}); }});
    if (bits == 4) cases.push_back({"quantize_stochastic_4", 12.0 * kCount + packed, [&k, arguments] { k.quantize(arguments(true), {}); }});
    cases.push_back({concat("dequantize_sum_2x", bits), 4.0 * kCount + kRanks * packed, [&k, &m, format] {
      const std::vector<const std::byte*> sources(kRanks, m.packed.data());
      k.dequantize_sum(format, sources, kCount, false, m.out.data(), {});
    }});
  }
  for (const std::int64_t rank : {1, 4, 16}) {
    const std::string name = concat("_r", rank);
    cases.push_back({"feedback_project" + name, 12.0 * kCount, [&k, &m, rank] {
      k.project({.gradient = m.gradient.data(), .residual = m.residual.data(), .sum = m.next.data(), .rows = kRows, .columns = kColumns, .rank = rank,
                 .factor_RN = m.q.data(), .projected_RM = m.p.data()}, {});
    }});
    cases.push_back({"project_transposed" + name, 4.0 * kCount, [&k, &m, rank] {
      k.project_transposed(m.gradient.data(), kRows, kColumns, rank, m.p.data(), m.q.data(), {});
    }});
    cases.push_back({"reconstruct_feedback" + name, 12.0 * kCount, [&k, &m, rank] {
      k.low_rank_update(m.p.data(), m.q.data(), kRows, kColumns, rank, m.out.data(), 0.5f, m.next.data(), {});
    }});
  }
  cases.push_back({"top_k_1_percent", 12.0 * kCount, [&k, &m] {
    k.top_k({.gradient = m.gradient.data(), .residual = m.residual.data(), .next = m.next.data(), .count = kCount, .k = kCount / 100,
             .indices = m.indices.data(), .values = m.out.data(), .scratch = m.scratch.data()}, {});
  }});
  cases.push_back({"sample_1_percent", 12.0 * kCount, [&k, &m] {
    k.sample({.gradient = m.gradient.data(), .residual = m.residual.data(), .next = m.next.data(), .count = kCount, .stride = 100, .key = 1,
              .values = m.out.data()}, {});
  }});
  for (const std::int64_t rows : {1, 3}) {
    const CountSketch sketch{.rows = rows, .columns = 1 << 20, .key = 1};
    const double cells = 4.0 * static_cast<double>(rows * sketch.columns);
    cases.push_back({concat("count_sketch_insert_", rows), 12.0 * kCount + cells, [&k, &m, sketch] {
      k.count_sketch_insert({.sketch = sketch, .gradient = m.gradient.data(), .residual = m.residual.data(), .sum = m.next.data(), .count = kCount, .cells = m.q.data()}, {});
    }});
    cases.push_back({concat("count_sketch_estimate_", rows), 4.0 * kCount + cells, [&k, &m, sketch] { k.count_sketch_estimate(sketch, m.q.data(), kCount, m.out.data(), {}); }});
  }
  cases.push_back({"rotate", 12.0 * kCount, [&k, &m] {
    k.rotate({.in = m.gradient.data(), .residual = m.residual.data(), .out = m.next.data(), .count = kCount, .key = 1}, {});
  }});
  std::vector<int> counts;
  for (int i = 1; i < argc; ++i) counts.push_back(std::atoi(argv[i]));
  if (counts.empty()) counts = {1, measure::threads()};
  for (const int count : counts) {
    measure::set_threads(count);
    report(m, cases);
  }
}
