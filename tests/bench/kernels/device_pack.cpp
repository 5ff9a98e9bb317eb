// Kernels of gradient compression on a GPU beside a device-to-device copy of the same size, measured in turns: share = bytes that must move / time / copy.
//   bench_device_pack [NAME ...]      default: all; NAME begins the figure's name
// One JSON line per figure.
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/exit_code.h"
#include "core/text.h"
#include "kernels/allocator.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/pack/pack_kernels.h"
#include "tools/measure/timing.h"

using namespace panther;

namespace {

constexpr Device kDevice{DeviceKind::cuda, 0};
constexpr int kSources = 2;

template <class T>
class Memory {
 public:
  explicit Memory(std::int64_t count) : memory_(plain_allocator(), static_cast<std::size_t>(count) * sizeof(T), kDevice, {}) {}
  T* get() const { return static_cast<T*>(memory_.data()); }

 private:
  Workspace memory_;
};

struct Case {
  std::string name;
  double bytes = 0;  ///< read and written once
  std::function<void()> body;
};

/// Bell-shaped values: sums of four uniform ones.
std::vector<float> bell(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::uint32_t state = 1;
  for (float& v : values) {
    v = -2;
    for (int k = 0; k < 4; ++k) v += static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f;
  }
  return values;
}

/// All of one size: a matrix of `rows` x `columns`.
class Bench {
 public:
  Bench(std::int64_t rows, std::int64_t columns)
      : rows_(rows), columns_(columns), count_(rows * columns), gradient_(count_), residual_(count_), next_(count_), out_(count_), left_(rows * kMostRank), right_(columns * kMostRank),
        cells_(3 * sketch_columns()), packed_(quantized_bytes({8, 512}, count_)), indices_(count_ / 50 + 1), top_k_scratch_(kTopKScratch),
        sketch_scratch_(count_sketch_scratch({.rows = 3, .columns = sketch_columns()}, count_)), scratch_(kMostRank * kMostRank + 1) {
    const auto values = bell(count_);
    for (const auto* memory : {&gradient_, &residual_, &next_}) copy_async(memory->get(), values.data(), values.size() * sizeof(float), {});
    for (const auto* memory : {&left_, &right_}) copy_async(memory->get(), values.data(), static_cast<std::size_t>(memory == &left_ ? rows : columns) * kMostRank * sizeof(float), {});
    stream_synchronize({});
  }

  void run(const std::vector<std::string_view>& names) {
    for (const Case& one : cases()) {
      bool chosen = names.empty();
      for (const std::string_view name : names) chosen = chosen || one.name.starts_with(name);
      if (!chosen) continue;
      const int repeats = count_ > (std::int64_t{16} << 20) ? 4 : 20;
      const auto repeated = [&](const std::function<void()>& body) { return [&body, repeats] { for (int i = 0; i < repeats; ++i) body(); }; };
      const std::function<void()> copy = [&] { copy_async(out_.get(), gradient_.get(), static_cast<std::size_t>(count_) * sizeof(float), {}); };
      auto timings = measure::time_in_turns({repeated(one.body), repeated(copy)}, {.warm_ups = 1, .least_runs = 5, .most_runs = 20, .budget_seconds = 0.2, .device = DeviceKind::cuda});
      for (measure::Timing& timing : timings) timing.median /= repeats, timing.fastest /= repeats;
      measure::print_json({.name = one.name, .device = "cuda", .shape = concat(rows_, "x", columns_), .dtype = "f32", .timing = timings[0], .bytes = one.bytes,
                           .stream_gbs = 8.0 * static_cast<double>(count_) / timings[1].median * 1e-9});
    }
  }

 private:
  static constexpr std::int64_t kMostRank = 32;
  std::int64_t sketch_columns() const { return count_ / 16; }

  std::vector<Case> cases() {
    const PackKernels& k = pack_kernels(DeviceKind::cuda);
    const auto elements = static_cast<double>(count_);
    std::vector<Case> cases;
    for (const auto& [bits, block] : {std::pair{1, 512}, {4, 512}, {8, 512}, {1, 65536}}) {
      const QuantizeFormat format{bits, block};
      const auto packed = static_cast<double>(quantized_bytes(format, count_));
      for (const bool stochastic : {false, true}) {
        if (stochastic && bits != 4) continue;
        cases.push_back({concat("quantize_feedback_", bits, block == 65536 ? "_sign" : "", stochastic ? "_stochastic" : ""), 12 * elements + packed, [this, &k, format, stochastic] {
          k.quantize({.format = format, .gradient = gradient_.get(), .residual = residual_.get(), .next = next_.get(), .count = count_, .packed = packed_.get(),
                      .stochastic = stochastic, .key = 1}, {});
        }});
      }
      cases.push_back({concat("dequantize_sum_", kSources, "x", bits, block == 65536 ? "_sign" : ""), 4 * elements + kSources * packed, [this, &k, format] {
        const std::vector<const std::byte*> sources(kSources, packed_.get());
        k.dequantize_sum(format, sources, count_, false, out_.get(), {});
      }});
    }
    for (const std::int64_t rank : {4, 32}) {
      cases.push_back({concat("feedback_project_r", rank), 12 * elements, [this, &k, rank] {
        k.project({.gradient = gradient_.get(), .residual = residual_.get(), .sum = next_.get(), .rows = rows_, .columns = columns_, .rank = rank, .factor_RN = right_.get(),
                   .projected_RM = cells_.get()}, {});
      }});
      cases.push_back({concat("project_transposed_r", rank), 4 * elements, [this, &k, rank] {
        k.project_transposed(gradient_.get(), rows_, columns_, rank, left_.get(), cells_.get(), {});
      }});
      cases.push_back({concat("reconstruct_feedback_r", rank), 12 * elements, [this, &k, rank] {
        k.low_rank_update(left_.get(), right_.get(), rows_, columns_, rank, out_.get(), 1e-6f, next_.get(), {});
      }});
      cases.push_back({concat("orthonormalize_r", rank), 8.0 * static_cast<double>(rows_ * rank), [this, &k, rank] {
        k.orthonormalize({.factor_RM = left_.get(), .rows = rows_, .rank = rank, .scratch_RR = scratch_.get()}, {});
      }});
    }
    cases.push_back({"top_k_1_percent", 12 * elements, [this, &k] {
      k.top_k({.gradient = gradient_.get(), .residual = residual_.get(), .next = next_.get(), .count = count_, .k = count_ / 100, .indices = indices_.get(), .values = out_.get(),
               .scratch = top_k_scratch_.get()}, {});
    }});
    cases.push_back({"sample_1_percent", 12 * elements, [this, &k] {
      k.sample({.gradient = gradient_.get(), .residual = residual_.get(), .next = next_.get(), .count = count_, .stride = 100, .key = 1, .values = out_.get()}, {});
    }});
    cases.push_back({"place_1_percent", 4 * elements, [this, &k] { k.place(cells_.get(), count_, 100, 1, 1, out_.get(), {}); }});
    cases.push_back({"rotate", 12 * elements, [this, &k] {
      k.rotate({.in = gradient_.get(), .residual = residual_.get(), .out = next_.get(), .count = count_, .key = 1}, {});
    }});
    const CountSketch sketch{.rows = 3, .columns = sketch_columns(), .key = 1};
    const double cells = 12.0 * static_cast<double>(sketch.columns);
    cases.push_back({"count_sketch_insert_3", 12 * elements + cells, [this, &k, sketch] {
      k.count_sketch_insert({.sketch = sketch, .gradient = gradient_.get(), .residual = residual_.get(), .sum = next_.get(), .count = count_, .cells = cells_.get(),
                             .scratch = sketch_scratch_.get()}, {});
    }});
    cases.push_back({"count_sketch_estimate_3", 4 * elements + cells, [this, &k, sketch] { k.count_sketch_estimate(sketch, cells_.get(), count_, out_.get(), {}); }});
    cases.push_back({"running_mean", 12 * elements, [this, &k] { k.running_mean(0.9f, residual_.get(), gradient_.get(), count_, out_.get(), {}); }});
    cases.push_back({"add_energy", 8 * elements, [this, &k] { k.add_energy(gradient_.get(), residual_.get(), count_, scratch_.get(), energy_.get(), {}); }});
    cases.push_back({"watch", 4 * elements, [this, &k] { k.watch(gradient_.get(), count_, cells_.get(), {}); }});
    return cases;
  }

  std::int64_t rows_, columns_, count_;
  Memory<float> gradient_, residual_, next_, out_, left_, right_, cells_;
  Memory<std::byte> packed_;
  Memory<std::uint32_t> indices_, top_k_scratch_, sketch_scratch_;
  Memory<double> scratch_, energy_{kEnergyScratch};
};

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string_view> names(argv + 1, argv + argc);
  Bench(2048, 2048).run(names);
  Bench(8192, 8192).run(names);
  return 0;
} catch (const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.message().c_str());
  return exit_code_for(error.code());
}
