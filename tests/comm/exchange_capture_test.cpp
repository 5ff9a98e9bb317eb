// A bucket's encode, collective and decode inside a CUDA graph: replayed, it makes the bits that calls make.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include "kernels/philox.h"
#include "tests/comm/codec_world.h"

namespace panther::comm {
namespace {

using namespace testing;  // NOLINT: the test's own vocabulary

constexpr Device kDevice{DeviceKind::cuda, 0};
constexpr std::int64_t kRows = 384, kColumns = 512, kBias = 100, kNumel = kRows * kColumns + kBias;

void check(cudaError_t status) { ASSERT_EQ(status, cudaSuccess) << cudaGetErrorString(status); }

/// One codec of one rank with its bucket.
struct Side {
  Side(const std::string& name, const CodecSettings& settings)
      : stream(create_stream()), memory(plain_allocator(), kNumel * sizeof(float), kDevice, stream), bucket(memory.data(), DType::f32, {kNumel}, kDevice),
        received(plain_allocator(), 4 * kNumel * sizeof(float), kDevice, stream) {
    CodecLayout layout{.bucket = bucket, .members = {{.name = "w", .numel = kRows * kColumns, .rows = kRows, .columns = kColumns},
                                                     {.name = "b", .offset = kRows * kColumns, .numel = kBias}}};
    codec = codec_registry().at(name).make(layout, settings, plain_allocator());
    device_synchronize();
  }
  ~Side() {
    device_synchronize();
    codec.reset();
    destroy_stream(stream);
  }

  void bring(std::int64_t step) const {
    std::vector<float> values(kNumel);
    for (std::int64_t i = 0; i < kNumel; ++i) values[static_cast<std::size_t>(i)] = normal_value(0, step, 0, i);
    copy_now(bucket.data, values.data(), values.size() * sizeof(float));
  }
  std::vector<float> result() const {
    std::vector<float> values(kNumel);
    copy_now(values.data(), bucket.data, values.size() * sizeof(float));
    return values;
  }
  void queue(Collective& collective, std::int64_t step) {
    const CodecCall call{kernels_for(DeviceKind::cuda), stream, step};
    const std::vector<Stage> stages = codec->plan(step);
    const Deadline deadline = Deadline::after(60s);
    for (std::size_t s = 0; s < stages.size(); ++s) {
      TensorView wire = codec->encode(s, call);
      if (stages[s].kind == Stage::Kind::all_gather) {
        const TensorView all(received.data(), wire.dtype, {wire.numel() * collective.size()}, kDevice);
        collective.all_gather(wire, all, stream, deadline);
        wire = all;
      } else {
        collective.all_reduce(wire, stages[s].op, stream, deadline);
      }
      codec->decode(s, wire, call);
    }
  }

  Stream stream;
  Workspace memory;
  TensorView bucket;
  Workspace received;
  std::unique_ptr<Codec> codec;
};

struct Case {
  std::string label;
  std::string codec;
  CodecSettings settings;
};

class Capture : public ::testing::TestWithParam<Case> {};

/// Halves of a codec's state take turns, and so do graphs; the alternating form sends its two factors in turn besides. Randomness by step would be frozen in
/// them: codecs that have none.
TEST_P(Capture, ReplaysTheSameBits) {
  const std::shared_ptr<Store> store = make_memory_store();
  GroupOptions options;
  options.backend = "nccl";
  options.device = kDevice;
  options.store = store;
  std::unique_ptr<Collective> collective;
  try {
    collective = make_collective(options);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Unsupported) GTEST_SKIP() << error.message();
    throw;
  }
  const Case& one = GetParam();
  Side calls(one.codec, one.settings), graphs(one.codec, one.settings);
  constexpr std::int64_t kFirst = 1, kSteps = 8, kPeriod = 4;  // no step at which the residual's guard looks
  graphs.bring(0);
  graphs.queue(*collective, kFirst);  // opens what NCCL and cuBLAS open at the first call; forgotten
  device_synchronize();
  graphs.codec->rollback();
  cudaGraphExec_t ready[kPeriod] = {};
  for (std::int64_t turn = 0; turn < kPeriod; ++turn) {
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(static_cast<cudaStream_t>(graphs.stream.native), cudaStreamCaptureModeThreadLocal));
    graphs.queue(*collective, kFirst + turn);
    check(cudaStreamEndCapture(static_cast<cudaStream_t>(graphs.stream.native), &graph));
    check(cudaGraphInstantiate(&ready[turn], graph, 0));
    check(cudaGraphDestroy(graph));
    graphs.codec->commit();
  }
  for (std::int64_t step = 0; step < kSteps; ++step) {
    calls.bring(step);
    graphs.bring(step);
    calls.queue(*collective, kFirst + step);
    check(cudaGraphLaunch(ready[step % kPeriod], static_cast<cudaStream_t>(graphs.stream.native)));
    ASSERT_EQ(calls.result(), graphs.result()) << "step " << step;
    calls.codec->commit();
    graphs.codec->commit();
  }
  for (cudaGraphExec_t graph : ready) check(cudaGraphExecDestroy(graph));
}

INSTANTIATE_TEST_SUITE_P(Codecs, Capture, ::testing::Values(Case{"none", "none", {}}, Case{"half", "half", {}},
                                                            Case{"quantize_4", "quantize", {.bits = 4, .min_numel = 256}},
                                                            Case{"sign", "sign", {.momentum = 0.9, .min_numel = 256}},
                                                            Case{"top_k", "top_k", {.density = 0.01, .min_numel = 256}},
                                                            Case{"powersgd", "powersgd", {.rank = 4, .min_numel = 256}},
                                                            Case{"powersgd_alternating", "powersgd", {.rank = 4, .alternating = true, .min_numel = 256}}),
                         [](const auto& test) { return test.param.label; });

}  // namespace
}  // namespace panther::comm
