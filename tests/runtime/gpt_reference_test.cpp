// The dense GPT against one written in Python with torch.nn: same weights, same batch, the loss and every gradient.
// tests/runtime/reference_gpt.py writes the files before this program runs.
#include <cstdlib>
#include <filesystem>

#include "core/file_format/safetensors.h"
#include "runtime/models/model.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

std::filesystem::path folder() {
  const char* given = std::getenv("PANTHER_REFERENCE_GPT");
  return given == nullptr ? "" : given;
}

at::Tensor tensor_of(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsEntry* entry = file.find(name);
  EXPECT_NE(entry, nullptr) << name;
  if (entry == nullptr) return at::zeros({1});
  void* data = const_cast<std::byte*>(entry->bytes.data());
  return at::from_blob(data, entry->shape, at::TensorOptions().dtype(scalar_type_of(entry->dtype))).clone();
}

std::shared_ptr<Model> model_for(const std::string& name) {
  const bool plain = name.starts_with("gelu");
  ModelConfig config;
  config.layers = 3, config.width = 48, config.heads = 4;
  config.mlp = plain ? "gelu" : "swiglu", config.norm = plain ? "layer" : "rms", config.tie_embeddings = plain, config.bias = plain;
  BuildContext context;
  context.dtype = name.ends_with("f64") ? at::kDouble : at::kFloat;
  return make_model(config, {.vocabulary = 37, .features = 0, .sequence = 24, .regression = false}, context);
}

class GptReference : public testing::TestWithParam<std::string> {};

TEST_P(GptReference, LossAndEveryGradientAgree) {
  const std::filesystem::path path = folder() / (GetParam() + ".safetensors");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no reference at " << path << "; CTest writes it with the Python of PANTHER_PYTHON";
  const SafetensorsFile file(path);
  const double tolerance = GetParam().ends_with("f64") ? 1e-11 : 1e-5;
  const auto model = model_for(GetParam());
  const std::vector<ParameterInfo> parameters = parameters_of(*model);
  for (const ParameterInfo& info : parameters) info.tensor.detach().copy_(tensor_of(file, "weight." + info.name));
  const at::Tensor inputs = tensor_of(file, "batch.inputs");
  const at::Tensor loss = model->loss_sum({inputs, tensor_of(file, "batch.targets"), at::arange(inputs.size(0), at::kLong)}, {});
  loss.backward();
  const double want = tensor_of(file, "loss").item<double>();
  EXPECT_NEAR(loss.item<double>() / want, 1.0, tolerance);
  for (const ParameterInfo& info : parameters) {
    const at::Tensor gradient = tensor_of(file, "gradient." + info.name);
    ASSERT_EQ(info.tensor.grad().sizes(), gradient.sizes()) << info.name;
    EXPECT_LE((info.tensor.grad() - gradient).norm().item<double>(), tolerance * gradient.norm().item<double>()) << info.name;
  }
  std::size_t stored = 0;
  for (const SafetensorsEntry& entry : file.entries()) stored += entry.name.starts_with("weight.") ? 1 : 0;
  EXPECT_EQ(stored, parameters.size());
}

INSTANTIATE_TEST_SUITE_P(Cases, GptReference, testing::Values("gelu_layer_tied_f32", "gelu_layer_tied_f64", "swiglu_rms_untied_f32", "swiglu_rms_untied_f64"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace panther::runtime
