// A model of your own, trained data-parallel with Panther's sketched layers, gradient sync, optimizer, checkpoints and metrics.
#include <ATen/ATen.h>

#include <cstdio>

#include "core/env.h"
#include "core/exit_code.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/data/dataset.h"
#include "runtime/layers/layer.h"
#include "runtime/observe/metrics.h"
#include "runtime/optim/optimizer.h"
#include "runtime/parallel/gradient_sync.h"
#include "runtime/tensor/view_of.h"
#include "runtime/train/world.h"

namespace rt = panther::runtime;

struct TwoLayers : torch::nn::Module {
  explicit TwoLayers(const rt::BuildContext& context)
      : first(register_module("first", rt::make_linear({.path = "first", .in_features = 64, .out_features = 256}, context))),
        second(register_module("second", rt::make_linear({.path = "second", .in_features = 256, .out_features = 10}, context))) {}
  at::Tensor forward(const at::Tensor& x) { return second->forward(at::relu(first->forward(x))); }
  std::shared_ptr<rt::Linear> first, second;
};

int body(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "runs/your_own_model";
  rt::RunConfig config;
  rt::World world = rt::join_world(config, panther::read_rank_facts(panther::env_value));

  rt::SketchPolicy policy({{.match = "first", .kind = "sketched", .sketch_size = 8}}, {});
  TwoLayers model({.seed = 1, .dtype = at::kFloat, .device = rt::torch_device(world.device), .policy = &policy});
  const std::vector<rt::ParameterInfo> parameters = rt::parameters_of(model);
  rt::GradientSync sync(parameters, *world.collective, config.comm);
  const auto optimizer = rt::make_optimizer({.kind = "adamw", .lr = 3e-3, .weight_decay = 0}, parameters);

  const rt::Datasets data = rt::make_datasets({.kind = "synthetic", .features = 64, .classes = 10}, 1, {});
  rt::Loader loader(data.train, {.seed = 1, .global_batch = 64, .rank = world.rank(), .world_size = world.size(),
                                 .device = rt::torch_device(world.device)});
  std::unique_ptr<rt::MetricsWriter> metrics;
  if (world.leader()) metrics = std::make_unique<rt::MetricsWriter>(folder, 0);

  rt::TrainingState state;
  state.layers = rt::facts_of(model);
  double loss_mean = 0;
  for (int step = 1; step <= 200; ++step) {
    const rt::StepBatch batch = loader.next();
    sync.begin_step(1);
    const at::Tensor loss = at::cross_entropy_loss(model.forward(batch.micro[0].inputs), batch.micro[0].targets, {}, at::Reduction::Sum);
    sync.set_control({}, loss.item<double>());
    (loss / static_cast<double>(batch.global_targets)).backward();
    loss_mean = sync.finish().loss_sum / static_cast<double>(batch.global_targets);
    optimizer->step(3e-3, rt::clip_scale(rt::gradient_norm(parameters), 1.0));
    if (metrics) metrics->write(step, {{"train/loss", loss_mean}});
    state.step = step;
    state.position = batch.next_position;
  }
  if (world.leader()) {
    for (const rt::ParameterInfo& parameter : parameters) state.model.emplace_back(parameter.name, parameter.tensor.detach());
    state.optimizer = optimizer->state();
    rt::CheckpointWriter(folder / "checkpoints", {}).save(state);
    std::printf("%d ranks over %s: loss %.4f after %ld steps, saved in %s\n", world.size(), std::string(world.collective->backend()).c_str(),
                loss_mean, static_cast<long>(state.step), folder.c_str());
  }
  return panther::kExitDone;
}

int main(int argc, char** argv) { return panther::run_main(body, argc, argv); }
