// Parameters copied and compared across ranks, and the fields of [comm].
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <set>

#include "comm/exchange/codec.h"
#include "core/error.h"
#include "runtime/layers/sketched_linear.h"
#include "runtime/parallel/codec_resize.h"
#include "runtime/parallel/sketch_checksum.h"
#include "tests/runtime/parallel_fixture.h"

namespace panther::runtime {
namespace {

using testing::Net;

TEST(ParameterDigest, SeesNamesShapesDtypesAndEveryBit) {
  std::set<std::uint64_t> digests;
  Net net;
  EXPECT_EQ(parameter_digest(net.parameters), parameter_digest(Net().parameters));
  EXPECT_TRUE(digests.insert(parameter_digest(net.parameters)).second);
  EXPECT_TRUE(digests.insert(parameter_digest(Net(at::kFloat).parameters)).second);
  Net renamed;
  renamed.parameters[3].name = "used";
  EXPECT_TRUE(digests.insert(parameter_digest(renamed.parameters)).second);
  Net reshaped;
  reshaped[0] = reshaped[0].detach().view({testing::kHidden, testing::kIn});
  EXPECT_TRUE(digests.insert(parameter_digest(reshaped.parameters)).second);
  Net fewer;
  fewer.parameters.pop_back();
  EXPECT_TRUE(digests.insert(parameter_digest(fewer.parameters)).second);
  for (std::size_t i = 0; i < net.parameters.size(); ++i) {
    Net flipped;
    auto* words = static_cast<std::uint64_t*>(flipped[i].detach().mutable_data_ptr());
    words[flipped[i].numel() - 1] ^= 1;
    EXPECT_TRUE(digests.insert(parameter_digest(flipped.parameters)).second) << net.parameters[i].name;
  }
}

TEST(ParameterDigest, DependsOnValuesNotOnLayout) {
  Net net;
  Net transposed;
  transposed[0] = transposed[0].detach().t().contiguous().t();
  EXPECT_EQ(parameter_digest(net.parameters), parameter_digest(transposed.parameters));
}

TEST(BroadcastParameters, EveryRankGetsTheFirstOnes) {
  comm::run_ranks_as_threads(3, [](comm::Collective& collective) {
    const std::uint64_t expected = parameter_digest(Net().parameters);
    Net net;
    net[0] = net[0].detach().t().contiguous().t().set_requires_grad(true);
    if (collective.rank() != 0) {
      const at::NoGradGuard no_grad;
      for (ParameterInfo& parameter : net.parameters) parameter.tensor.add_(collective.rank());
    }
    std::vector<const void*> places;
    for (const ParameterInfo& parameter : net.parameters) places.push_back(parameter.tensor.const_data_ptr());
    broadcast_parameters(net.parameters, collective, comm::Deadline::after(std::chrono::seconds(30)));
    EXPECT_EQ(parameter_digest(net.parameters), expected);
    for (std::size_t i = 0; i < places.size(); ++i) EXPECT_EQ(net[i].const_data_ptr(), places[i]);
    comm::require_equal_digests(collective, {{"parameters", parameter_digest(net.parameters)}}, comm::Deadline::after(std::chrono::seconds(30)));
  });
}

/// Notes what a field says of itself.
class Notes final : public FieldVisitor {
 public:
  std::map<std::string, FieldInfo, std::less<>> fields;
  void field(std::string_view name, bool&, const FieldInfo& info) override { note(name, info); }
  void field(std::string_view name, std::int64_t& value, const FieldInfo& info) override { note(name, info, static_cast<double>(value)); }
  void field(std::string_view name, double& value, const FieldInfo& info) override { note(name, info, value); }
  void field(std::string_view name, std::string& value, const FieldInfo& info) override {
    note(name, info);
    if (info.choices.empty()) return;
    EXPECT_NE(std::find(info.choices.begin(), info.choices.end(), value), info.choices.end()) << name << ": the default is no choice";
  }
  void field(std::string_view name, std::vector<double>&, const FieldInfo& info) override { note(name, info); }
  void field(std::string_view name, std::vector<std::int64_t>&, const FieldInfo& info) override { note(name, info); }
  void field(std::string_view name, std::vector<std::string>&, const FieldInfo& info) override { note(name, info); }

 protected:
  void begin_section(std::string_view, std::string_view) override {}
  void end_section() override {}
  void array_section(std::string_view, std::string_view, const ArrayAccess&) override {}

 private:
  void note(std::string_view name, const FieldInfo& info, double value = 0) {
    EXPECT_FALSE(info.help.empty()) << name;
    EXPECT_TRUE(value == 0 || (value >= info.min && value <= info.max)) << name;
    fields.emplace(name, info);
  }
};

using State = std::map<std::string, at::Tensor>;

/// Residuals of `ranks` ranks, and what they share.
std::vector<State> states_of(int ranks) {
  std::vector<State> states;
  for (int rank = 0; rank < ranks; ++rank) {
    states.push_back({{"a/residual", at::arange(6, at::kFloat).view({2, 3}) + static_cast<float>(rank)}, {"a/powersgd.q", at::full({3}, 7.0f)}, {"exchange/step", at::full({1}, 12)}});
  }
  return states;
}

at::Tensor sum_of_residuals(const std::vector<State>& states) {
  at::Tensor sum = at::zeros({2, 3}, at::kDouble);
  for (const State& state : states) sum += state.at("a/residual");
  return sum;
}

TEST(CodecResize, KeepsTheSumOfResidualsFromFourToTwoToFour) {
  const std::vector<State> four = states_of(4);
  const std::vector<State> two(2, resized_codec_state(four, 2)), again(4, resized_codec_state(two, 4));
  EXPECT_TRUE(at::equal(sum_of_residuals(two), sum_of_residuals(four)));  // small integers: exact
  EXPECT_TRUE(at::equal(sum_of_residuals(again), sum_of_residuals(four)));
  EXPECT_TRUE(at::equal(two[0].at("a/powersgd.q"), four[0].at("a/powersgd.q")));
  EXPECT_TRUE(at::equal(two[1].at("exchange/step"), four[0].at("exchange/step")));
}

TEST(CodecResize, RefusesResidualsOfOtherSizes) {
  std::vector<State> states = states_of(2);
  states[1]["a/residual"] = at::zeros({5});
  EXPECT_THROW(resized_codec_state(states, 3), Error);
  EXPECT_THROW(resized_codec_state({}, 3), Error);
}

/// A sketched layer with the gradients of a batch, in f32 or f64.
struct TrainedLayer {
  explicit TrainedLayer(at::ScalarType dtype, std::int64_t rows = 600) {
    BuildContext context{.seed = 3, .dtype = dtype};
    SketchSpec spec;
    spec.kind = "sketched";
    spec.sketch_size = 8;
    model = std::make_shared<torch::nn::Module>();
    layer = model->register_module("layer", std::make_shared<SketchedLinear>(LinearOptions{.path = "layer", .in_features = 48, .out_features = 64}, spec, context));
    at::manual_seed(5);
    layer->forward(at::randn({rows, 48}, dtype)).mul(at::randn({rows, 64}, dtype)).sum().backward();
  }
  at::Tensor gradient(const char* name) const { return layer->named_parameters(false)[name].grad(); }
  std::shared_ptr<torch::nn::Module> model;
  std::shared_ptr<SketchedLinear> layer;
};

TEST(SketchChecksum, HoldsForEveryBatchWithinRounding) {
  for (const std::int64_t rows : {1, 7, 600, 5000}) {
    EXPECT_TRUE(broken_checksums(*TrainedLayer(at::kDouble, rows).model, 0x1p-53).empty()) << rows;
    EXPECT_TRUE(broken_checksums(*TrainedLayer(at::kFloat, rows).model, 0x1p-24).empty()) << rows;
  }
}

TEST(SketchChecksum, SeesWhatIsDamagedMissingOrAddedTwice) {
  const auto broken_after = [](const std::function<void(const TrainedLayer&)>& damage) {
    const TrainedLayer trained(at::kFloat);
    damage(trained);
    const std::vector<BrokenChecksum> broken = broken_checksums(*trained.model, 0x1p-24);
    for (const BrokenChecksum& each : broken) EXPECT_EQ(each.layer, "layer");
    return !broken.empty();
  };
  EXPECT_FALSE(broken_after([](const TrainedLayer&) {}));
  // A flipped bit of the exponent or high in the mantissa of an ordinary entry.
  for (const int bit : {20, 22, 23, 25, 30}) {
    EXPECT_TRUE(broken_after([&](const TrainedLayer& t) {
      float* entry = t.gradient("s1").data_ptr<float>() + 100;
      std::uint32_t bits = 0;
      std::memcpy(&bits, entry, 4);
      bits ^= 1u << bit;
      std::memcpy(entry, &bits, 4);
    })) << bit;
  }
  EXPECT_TRUE(broken_after([](const TrainedLayer& t) { t.gradient("s2").mul_(2); })) << "one of two ranks' parts is missing from the other tensor";
  EXPECT_TRUE(broken_after([](const TrainedLayer& t) { t.gradient("s1")[3].zero_(); }));
  EXPECT_FALSE(broken_after([](const TrainedLayer& t) { t.gradient("s1").mul_(2), t.gradient("s2").mul_(2); })) << "both alike is another batch's gradient";
}

TEST(CommConfigTest, FieldsSayWhatTheyAre) {
  CommConfig config;
  Notes notes;
  config.fields(notes);
  EXPECT_EQ(notes.fields.size(), 41u);
  std::vector<std::string> exchanges = comm::codec_registry().names();
  exchanges.insert(exchanges.begin(), "auto");
  EXPECT_EQ(notes.fields.at("exchange").choices, exchanges);
  EXPECT_EQ(notes.fields.at("bucket_bytes").unit, "bytes");
  EXPECT_EQ(notes.fields.at("timeout_seconds").unit, "seconds");
  EXPECT_GT(notes.fields.at("timeout_seconds").min, 0);
}

}  // namespace
}  // namespace panther::runtime
