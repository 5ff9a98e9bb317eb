#include "comm/exchange/measure.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <ctime>
#include <numeric>
#include <thread>
#include <utility>

#include "comm/exchange/host_state.h"
#include "comm/exchange/lane.h"
#include "comm/gather_integers.h"
#include "core/error.h"
#include "kernels/philox.h"

namespace panther::comm {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// A thread that computes, as backward does beside an exchange, and counts what it gets done.
class Companion {
 public:
  Companion() : thread_([this] {
    std::uint64_t value = 1;
    while (!stop_.load(std::memory_order_relaxed)) {
      for (int i = 0; i < 256; ++i) value = mix64(value, static_cast<std::uint64_t>(i));
      done_.fetch_add(1 + (value == 0), std::memory_order_relaxed);
    }
  }) {}
  ~Companion() {
    stop_ = true;
    thread_.join();
  }
  std::uint64_t done() const { return done_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint64_t> done_ = 0;
  std::thread thread_;
};

/// A buffer of zeros that all_reduces run over.
class Probe {
 public:
  Probe(Collective& collective, Allocator& allocator, Device device, Deadline deadline)
      : collective_(collective), deadline_(deadline), memory_(allocator, kMost, device, {}), device_(device) {
    if (device.kind == DeviceKind::cpu) std::memset(memory_.data(), 0, kMost);
  }
  static constexpr std::size_t kMost = 4 << 20;

  /// `computed`: may receive the processor seconds that this process took for it.
  double seconds(std::size_t bytes, double* computed = nullptr) {
    const std::clock_t before = std::clock();
    const TensorView buffer(memory_.data(), DType::f32, {static_cast<std::int64_t>(bytes / sizeof(float))}, device_);
    const Clock::time_point begin = Clock::now();
    collective_.all_reduce(buffer, ReduceOp::max, {}, deadline_).wait(deadline_);
    const double took = seconds_since(begin);
    if (computed != nullptr) *computed = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
    return took;
  }
  /// Of a companion's time during such an all_reduce, the seconds that it lost to it, give or take its jitter.
  double lost_seconds(std::size_t bytes) {
    constexpr auto kAlone = std::chrono::milliseconds(20);
    const Companion companion;
    std::this_thread::sleep_for(kAlone / 4);  // until it runs
    const auto count = [&, done = companion.done(), begin = Clock::now()] { return std::pair(static_cast<double>(companion.done() - done), seconds_since(begin)); };
    std::this_thread::sleep_for(kAlone);
    const auto [alone, while_alone] = count();
    const double rate = alone / while_alone;
    const std::uint64_t before = companion.done();
    const double took = seconds(bytes);
    return rate > 0 ? std::max(0.0, took - static_cast<double>(companion.done() - before) / rate) : 0;
  }
  /// Rank 0's value of what every rank measured.
  double of_rank_zero(double seconds) { return of_all(seconds).front(); }
  double mean(double seconds) {
    const std::vector<double> all = of_all(seconds);
    return std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size());
  }

 private:
  std::vector<double> of_all(double seconds) {
    const std::int64_t nanoseconds[] = {static_cast<std::int64_t>(1e9 * seconds)};
    std::vector<double> all;
    for (const std::int64_t value : gather_integers(collective_, nanoseconds, {}, deadline_)) all.push_back(1e-9 * static_cast<double>(value));
    return all;
  }

  Collective& collective_;
  Deadline deadline_;
  Workspace memory_;
  Device device_;
};

/// A codec in a world whose ranks all send the same. A device is waited for on both sides of what is timed.
class CodecAlone {
 public:
  CodecAlone(const Candidate& candidate, const KernelSet& kernels, Allocator& allocator, const CodecLayout& layout)
      : kernels_(kernels), allocator_(allocator), ranks_(layout.ranks), lane_(make_lane(layout.bucket.device, 1)), codec_(codec_registry().at(candidate.codec).make(layout, candidate.settings, allocator)) {}

  /// Encodes and decodes what the bucket holds; the sums of all_reduces are missing. Gives the seconds it took.
  double step(std::int64_t number) {
    double seconds = 0;
    const std::vector<Stage> stages = codec_->plan(number);
    for (std::size_t s = 0; s < stages.size(); ++s) {
      const CodecCall call{kernels_, lane_->stream(), number, lane_.get()};
      TensorView wire;
      seconds += timed([&] { wire = codec_->encode(s, call); });
      if (stages[s].kind == Stage::Kind::all_gather) wire = of_all_ranks(wire);
      seconds += timed([&] { codec_->decode(s, wire, call); });
    }
    codec_->commit();
    return seconds;
  }

 private:
  template <class Body>
  double timed(const Body& body) const {
    lane_->synchronize();
    const Clock::time_point begin = Clock::now();
    body();
    lane_->synchronize();
    return seconds_since(begin);
  }
  TensorView of_all_ranks(const TensorView& own) {
    const std::int64_t numel = own.numel();
    gathered_ = std::make_unique<Workspace>(allocator_, static_cast<std::size_t>(own.bytes() * ranks_), own.device, lane_->stream());
    const TensorView all(gathered_->data(), own.dtype, {numel * ranks_}, own.device);
    for (int rank = 0; rank < ranks_; ++rank) kernels_.cast(own, all.slice(rank * numel, numel), lane_->stream());
    return all;
  }

  const KernelSet& kernels_;
  Allocator& allocator_;
  int ranks_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Codec> codec_;
  std::unique_ptr<Workspace> gathered_;
};

CodecLayout layout_of_matrix(const TensorView& bucket, std::int64_t rows, std::int64_t columns, int ranks) {
  return {.bucket = bucket, .members = {{.name = "probe", .numel = rows * columns, .rows = rows, .columns = columns}}, .rank = 0, .ranks = ranks};
}

}  // namespace

LinkRate measure_link(Collective& collective, Allocator& allocator, Device device, Deadline deadline) {
  constexpr double kLongEnough = 0.05;
  Probe probe(collective, allocator, device, deadline);
  std::array<double, 9> small{};
  probe.seconds(64);
  for (double& seconds : small) seconds = probe.seconds(64);
  std::nth_element(small.begin(), small.begin() + 4, small.end());
  const double round = probe.of_rank_zero(small[4]);
  std::size_t bytes = 64 << 10;
  double computed = 0;
  double before = probe.of_rank_zero(probe.seconds(bytes, &computed)), after = before;
  std::size_t last = bytes;
  while (after < kLongEnough && bytes < Probe::kMost) {
    before = after;
    last = bytes;
    bytes *= 4;
    after = probe.of_rank_zero(probe.seconds(bytes, &computed));
  }
  const auto sent = [&](std::size_t size) { return static_cast<double>(collective.all_reduce_bytes_sent(static_cast<std::int64_t>(size))); };
  const double grown = sent(bytes) - (bytes == last ? 0 : sent(last)), took = after - (bytes == last ? round : before);
  // A jitter can make the larger message the quicker one: then the whole message is the measure.
  const double rate = took > 0 ? grown / took : sent(bytes) / std::max(after, 1e-9);
  // What the system does for a message is on nobody's account, but a companion feels it. Threads of ranks on one host change places, so the mean counts, and
  // only where it stands out of the jitter.
  constexpr double kTelling = 0.1;
  double cost = probe.mean(computed);
  if (device.kind == DeviceKind::cpu) {
    const double lost = probe.mean(probe.lost_seconds(bytes));
    if (lost > kTelling * after) cost = std::max(cost, lost);
  }
  return {round / (2.0 * (collective.size() - 1)), rate, cost / sent(bytes)};
}

double codec_seconds_per_element(const Candidate& candidate, const KernelSet& kernels, Allocator& allocator, Device device, int ranks) {
  // Beyond a core's own caches, as the buckets of a model that is worth planning for; on a GPU launches weigh less then.
  const std::int64_t side = device.kind == DeviceKind::cpu ? 768 : 2048, numel = side * side;
  const Workspace memory(allocator, static_cast<std::size_t>(numel) * sizeof(float), device, {});
  const TensorView bucket(memory.data(), DType::f32, {numel}, device);
  std::vector<float> values(static_cast<std::size_t>(numel));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(static_cast<double>(mix64(1, i) >> 40) * 0x1p-23 - 1);
  CodecAlone codec(candidate, kernels, allocator, layout_of_matrix(bucket, side, side, ranks));
  double least = 0;
  for (std::int64_t step = 0; step < 4; ++step) {
    set_bytes(bucket, values.data());
    const double seconds = codec.step(step);
    if (step == 1 || (step > 1 && seconds < least)) least = seconds;  // the first one touches its memory for the first time
  }
  return least / static_cast<double>(numel);
}

double residual_on(const Candidate& candidate, const KernelSet& kernels, Allocator& allocator, const TensorView& matrix) {
  constexpr std::int64_t kMost = 1 << 20, kSteps = 4;
  const std::int64_t columns = matrix.shape[1], rows = std::clamp<std::int64_t>(kMost / std::max<std::int64_t>(columns, 1), 1, matrix.shape[0]), numel = rows * columns;
  const float* gradient = matrix.as<float>();
  double squared = 0;
  for (std::int64_t i = 0; i < numel; ++i) squared += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
  if (!(squared > 0) || !std::isfinite(squared)) return -1;
  const Workspace memory(allocator, static_cast<std::size_t>(numel) * sizeof(float), {}, {});
  const TensorView bucket(memory.data(), DType::f32, {numel});
  Candidate alone = candidate;
  alone.settings.error_feedback = false;
  CodecAlone codec(alone, kernels, allocator, layout_of_matrix(bucket, rows, columns, 1));
  for (std::int64_t step = 0; step < kSteps; ++step) {
    std::memcpy(bucket.data, gradient, static_cast<std::size_t>(numel) * sizeof(float));
    codec.step(step);
  }
  double lost = 0;
  for (std::int64_t i = 0; i < numel; ++i) lost += std::pow(static_cast<double>(gradient[i]) - static_cast<double>(bucket.as<float>()[i]), 2);
  constexpr double kWorst = 0.99;
  const double error = std::min(kWorst, std::sqrt(lost / squared));
  return error / (1 - error);
}

}  // namespace panther::comm
