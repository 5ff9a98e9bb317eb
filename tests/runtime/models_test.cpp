#include "core/error.h"
#include "runtime/layers/autocast.h"
#include "runtime/models/convert.h"
#include "runtime/models/model.h"

namespace panther::runtime {
namespace {

ModelConfig small_gpt() {
  ModelConfig config;
  config.layers = 2;
  config.width = 32;
  config.heads = 4;
  return config;
}

constexpr DataShape kTokens{.vocabulary = 29, .features = 0, .sequence = 12, .regression = false};

std::shared_ptr<Model> build(const ModelConfig& config, const DataShape& shape, std::vector<SketchRule> rules, at::ScalarType dtype = at::kFloat) {
  SketchPolicy policy(std::move(rules), {});
  BuildContext context;
  context.seed = 4;
  context.dtype = dtype;
  context.policy = &policy;
  return make_model(config, shape, context);
}

Batch token_batch(std::int64_t samples = 6) {
  const at::Tensor tokens = (at::arange(samples * 13, at::kLong).view({samples, 13}) * 7 + 3) % 29;
  return {tokens.narrow(1, 0, 12).contiguous(), tokens.narrow(1, 1, 12).contiguous(), at::arange(samples, at::kLong)};
}

std::vector<std::string> names_of(const Model& model) {
  std::vector<std::string> names;
  for (const ParameterInfo& info : parameters_of(model)) names.push_back(info.name);
  return names;
}

TEST(Gpt, NamesItsParametersAsInPython) {
  ModelConfig config = small_gpt();
  config.layers = 1;
  const auto model = build(config, kTokens, {{"blocks.*.mlp.up", "sketched", 4, "scratch"}, {"blocks.*.mlp.down", "factorized", 4, "scratch"}});
  EXPECT_THAT(names_of(*model), testing::ElementsAre(
      "tokens.weight", "positions.weight", "blocks.0.norm1.weight", "blocks.0.norm1.bias", "blocks.0.attention.qkv.weight", "blocks.0.attention.qkv.bias",
      "blocks.0.attention.proj.weight", "blocks.0.attention.proj.bias", "blocks.0.norm2.weight", "blocks.0.norm2.bias", "blocks.0.mlp.up.s1",
      "blocks.0.mlp.up.s2", "blocks.0.mlp.up.bias", "blocks.0.mlp.down.down", "blocks.0.mlp.down.up", "blocks.0.mlp.down.bias", "norm.weight", "norm.bias"));
  for (const ParameterInfo& info : parameters_of(*model)) {
    const bool matrix = info.tensor.dim() == 2 && info.name != "positions.weight";
    EXPECT_EQ(info.decay, matrix) << info.name;
    EXPECT_EQ(info.tag == GradientTag::sketched_exact, info.name.find("mlp.up.s") != std::string::npos) << info.name;
  }
}

TEST(Gpt, StartsNearTheUniformLossAndLearns) {
  for (const char* kind : {"dense", "sketched", "factorized"}) {
    const auto model = build(small_gpt(), kTokens, {{"*", kind, 8, "scratch"}});
    const Batch batch = token_batch();
    const double targets = 6 * 12;
    double first = 0, last = 0;
    for (int step = 0; step < 30; ++step) {
      model->zero_grad();
      const at::Tensor loss = model->loss_sum(batch, {.step = step, .sample_ids = batch.sample_ids, .seed = 1}) / targets;
      last = loss.item<double>();
      if (step == 0) first = last;
      loss.backward();
      const at::NoGradGuard no_grad;
      for (const ParameterInfo& info : parameters_of(*model)) info.tensor.detach().sub_(info.tensor.grad(), 0.3);
    }
    EXPECT_NEAR(first, std::log(29.0), 0.1) << kind;
    EXPECT_LT(last, 0.5 * first) << kind;
  }
}

TEST(Gpt, VariantsRunForwardAndBackward) {
  for (const char* mlp : {"gelu", "relu", "swiglu"}) {
    for (const char* norm : {"layer", "rms"}) {
      for (const bool flag : {false, true}) {
        ModelConfig config = small_gpt();
        config.mlp = mlp, config.norm = norm, config.bias = flag, config.tie_embeddings = !flag, config.dropout = flag ? 0.1 : 0.0;
        const auto model = build(config, kTokens, {{"*", "sketched", 8, "scratch"}});
        const Batch batch = token_batch();
        const AutocastGuard autocast(at::Device(at::kCPU), flag);
        const at::Tensor loss = model->loss_sum(batch, {.step = 0, .sample_ids = batch.sample_ids, .seed = 1});
        EXPECT_EQ(loss.scalar_type(), at::kFloat);
        loss.backward();
        for (const ParameterInfo& info : parameters_of(*model)) {
          ASSERT_TRUE(info.tensor.grad().defined()) << info.name;
          EXPECT_TRUE(at::isfinite(info.tensor.grad()).all().item<bool>()) << info.name;
        }
      }
    }
  }
}

TEST(Gpt, Bf16LossIsNearF32) {
  const auto model = build(small_gpt(), kTokens, {{"blocks.*", "sketched", 8, "scratch"}});
  const Batch batch = token_batch();
  const double exact = model->loss_sum(batch, {}).item<double>();
  const AutocastGuard autocast(at::Device(at::kCPU), true);
  EXPECT_NEAR(model->loss_sum(batch, {}).item<double>() / exact, 1.0, 0.01);
}

TEST(Gpt, ShorterSequencesAreAPrefix) {
  const auto model = build(small_gpt(), kTokens, {}, at::kDouble);
  const Batch batch = token_batch();
  const at::Tensor all = model->forward(batch.inputs, {}), some = model->forward(batch.inputs.narrow(1, 0, 5), {});
  EXPECT_LE((all.narrow(1, 0, 5) - some).abs().max().item<double>(), 1e-12);
  EXPECT_THROW(model->forward(at::zeros({1, 13}, at::kLong), {}), Error);
}

TEST(Gpt, TiedTableGetsBothGradients) {
  const auto model = build(small_gpt(), kTokens, {}, at::kDouble);
  const Batch batch = token_batch(2);
  const at::Tensor table = parameters_of(*model).front().tensor;
  model->loss_sum(batch, {}).backward();
  const at::Tensor grad = table.grad().clone();
  // Entries of a token that occurs only as an output, and of one that is an input as well.
  const at::NoGradGuard no_grad;
  for (const auto& [row, column] : {std::pair{3, 5}, std::pair{28, 0}, std::pair{10, 31}}) {
    const at::Tensor entry = table.detach()[row][column];
    const double value = entry.item<double>(), step = 1e-5;
    entry.fill_(value + step);
    const double up = model->loss_sum(batch, {}).item<double>();
    entry.fill_(value - step);
    const double down = model->loss_sum(batch, {}).item<double>();
    entry.fill_(value);
    EXPECT_NEAR(grad[row][column].item<double>(), (up - down) / (2 * step), 1e-7);
  }
}

TEST(Gpt, FactsCountTheModel) {
  const auto model = build(small_gpt(), kTokens, {{"blocks.*.mlp.*", "sketched", 8, "scratch"}});
  std::int64_t parameters = 0, counted = 0, dense = 0;
  for (const ParameterInfo& info : parameters_of(*model)) parameters += info.tensor.numel();
  for (const LayerFacts& facts : facts_of(*model)) counted += facts.parameters, dense += facts.dense_parameters;
  EXPECT_EQ(counted, parameters);
  const auto twin = build(small_gpt(), kTokens, {});
  std::int64_t twin_parameters = 0;
  for (const ParameterInfo& info : parameters_of(*twin)) twin_parameters += info.tensor.numel();
  EXPECT_EQ(dense, twin_parameters);
}

TEST(Gpt, DropoutDoesNotDependOnTheBatch) {
  ModelConfig config = small_gpt();
  config.dropout = 0.2;
  const auto model = build(config, kTokens, {}, at::kDouble);
  const Batch batch = token_batch();
  const double whole = model->loss_sum(batch, {.step = 0, .sample_ids = batch.sample_ids, .seed = 3}).item<double>();
  double parts = 0;
  for (const auto& [begin, count] : {std::pair{0, 1}, std::pair{1, 5}}) {
    const Batch part{batch.inputs.narrow(0, begin, count), batch.targets.narrow(0, begin, count), batch.sample_ids.narrow(0, begin, count)};
    parts += model->loss_sum(part, {.step = 0, .sample_ids = part.sample_ids, .seed = 3}).item<double>();
  }
  EXPECT_NEAR(parts, whole, 1e-10 * whole);
}

TEST(Perceptron, ClassifiesAndRegresses) {
  ModelConfig config;
  config.kind = "mlp", config.layers = 2, config.width = 24, config.mlp = "relu";
  at::manual_seed(2);
  const at::Tensor rows = at::randn({40, 10});
  for (const bool regression : {false, true}) {
    const auto model = build(config, {.vocabulary = 3, .features = 10, .sequence = 0, .regression = regression}, {{"hidden.1", "sketched", 6, "scratch"}});
    const Batch batch{rows, regression ? rows.select(1, 0) - rows.select(1, 3) : (rows.select(1, 0) > 0).to(at::kLong), at::arange(40, at::kLong)};
    double first = 0, last = 0;
    for (int step = 0; step < 200; ++step) {
      model->zero_grad();
      const at::Tensor loss = model->loss_sum(batch, {}) / 40.0;
      last = loss.item<double>();
      if (step == 0) first = last;
      loss.backward();
      const at::NoGradGuard no_grad;
      for (const auto& parameter : model->parameters()) parameter.detach().sub_(parameter.grad(), 0.05);
    }
    EXPECT_LT(last, 0.3 * first) << regression;
    EXPECT_EQ(model->rows_per_sample(), 1);
  }
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return error.what();
  }
  ADD_FAILURE() << "nothing thrown";
  return {};
}

TEST(MakeModel, NamesWhatIsWrong) {
  ModelConfig config = small_gpt();
  config.heads = 5;
  EXPECT_THAT(message_of([&] { build(config, kTokens, {}); }), testing::AllOf(testing::HasSubstr("model.heads"), testing::HasSubstr("model.width")));
  config = small_gpt();
  EXPECT_THAT(message_of([&] { build(config, {.vocabulary = 3, .features = 4, .sequence = 0, .regression = false}, {}); }), testing::HasSubstr("data.kind"));
  EXPECT_THAT(message_of([&] { build(config, kTokens, {{"block.*", "sketched", 4, "scratch"}}); }), testing::HasSubstr("blocks.0"));
  EXPECT_THAT(message_of([&] { build(config, kTokens, {{"*", "sketched", 33, "scratch"}}); }), testing::HasSubstr("sketch_size"));
  config.kind = "gtp";
  EXPECT_THAT(message_of([&] { build(config, kTokens, {}); }), testing::HasSubstr("'gpt'"));
}

TEST(Convert, FitsASketchedModelToADenseOne) {
  const auto dense = build(small_gpt(), kTokens, {}, at::kDouble);
  for (const ParameterInfo& info : parameters_of(*dense)) info.tensor.detach().add_(0.01);
  auto weights = stored_tensors_of(*dense);
  // With R = min(D, O) square layers can be met exactly; the others in the span of their signs.
  const auto exact = build(small_gpt(), kTokens,
                           {{"blocks.*.attention.proj", "sketched", 32, "fitted"}, {"blocks.*.mlp.*", "factorized", 32, "fitted"}}, at::kDouble);
  weights.emplace_back("surplus", at::zeros({1}));
  const ConversionReport report = initialise_from_dense(*exact, weights);
  EXPECT_EQ(report.fitted.size(), 6u);
  EXPECT_THAT(report.unused, testing::ElementsAre("surplus"));
  const Batch batch = token_batch();
  EXPECT_NEAR(exact->loss_sum(batch, {}).item<double>() / dense->loss_sum(batch, {}).item<double>(), 1.0, 1e-9);
  // init = scratch keeps the random layers and needs nothing for them.
  const auto mixed = build(small_gpt(), kTokens, {{"blocks.*.mlp.*", "sketched", 8, "scratch"}}, at::kDouble);
  EXPECT_EQ(initialise_from_dense(*mixed, weights).scratch.size(), 4u);
}

TEST(Convert, ImportsThePredecessorsTermsIntoAModel) {
  ModelConfig config;
  config.kind = "mlp", config.layers = 1, config.width = 12, config.mlp = "relu";
  const DataShape shape{.vocabulary = 5, .features = 9, .sequence = 0, .regression = false};
  const auto model = build(config, shape, {{"hidden.0", "sketched", 6, "imported"}}, at::kDouble);
  const auto normal = [](at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble); };
  const auto signs = [](at::IntArrayRef sizes) { return (at::randint(0, 2, sizes, at::kDouble) * 2 - 1) / std::sqrt(3.0); };
  const at::Tensor s1 = normal({2, 9, 3}), s2 = normal({2, 3, 12}), u1 = signs({2, 3, 12}), u2 = signs({2, 9, 3});
  const at::Tensor b = normal({12}), w = normal({5, 12}), c = normal({5}), x = normal({4, 9});
  std::vector<std::pair<std::string, at::Tensor>> given{{"hidden.0.S1s", s1}, {"hidden.0.S2s", s2}, {"hidden.0.U1s", u1}, {"hidden.0.U2s", u2},
                                                        {"hidden.0.bias", b}, {"head.weight", w}, {"head.bias", c}};
  EXPECT_THAT(initialise_from_dense(*model, given).imported, testing::ElementsAre("hidden.0"));
  const at::Tensor hidden = (at::matmul(at::matmul(x, s1), u1) + at::matmul(at::matmul(x, u2), s2)).sum(0) / 4.0 + b;
  EXPECT_LE((model->forward(x, {}) - at::linear(at::relu(hidden), w, c)).abs().max().item<double>(), 1e-12);
  // A checkpoint holds the signs, one bit each.
  const auto stored = stored_tensors_of(*model);
  const auto other = build(config, shape, {{"hidden.0", "sketched", 6, "imported"}}, at::kDouble);
  const auto into = stored_tensors_of(*other);
  ASSERT_EQ(stored.size(), 7u);
  for (std::size_t i = 0; i < stored.size(); ++i) into[i].second.detach().copy_(stored[i].second.detach());
  refresh_layers(*other);
  EXPECT_TRUE(at::equal(other->forward(x, {}), model->forward(x, {})));
  std::erase_if(given, [](const auto& entry) { return entry.first == "hidden.0.U2s"; });
  EXPECT_THAT(message_of([&] { initialise_from_dense(*model, given); }), testing::HasSubstr("hidden.0.U2s is missing"));
}

TEST(Convert, ListsEveryMissingNameAndChangesNothing) {
  const auto dense = build(small_gpt(), kTokens, {});
  auto weights = stored_tensors_of(*dense);
  std::erase_if(weights, [](const auto& entry) { return entry.first == "norm.weight" || entry.first == "blocks.1.mlp.up.bias"; });
  for (auto& [name, tensor] : weights) {
    if (name == "positions.weight") tensor = at::zeros({3, 3});
  }
  const auto model = build(small_gpt(), kTokens, {{"blocks.*", "sketched", 4, "fitted"}});
  const at::Tensor before = parameters_of(*model).front().tensor.detach().clone();
  parameters_of(*dense).front().tensor.detach().fill_(1.0);
  const std::string message = message_of([&] { initialise_from_dense(*model, weights); });
  for (const char* part : {"norm.weight is missing", "blocks.1.mlp.up.bias is missing", "positions.weight has shape [3, 3]"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  EXPECT_TRUE(at::equal(parameters_of(*model).front().tensor, before));
}

}  // namespace
}  // namespace panther::runtime
