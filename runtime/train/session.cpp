#include "runtime/train/session.h"

#include "core/error.h"
#include "core/log.h"
#include "kernels/philox.h"
#include "runtime/models/convert.h"
#include "runtime/tensor/view_of.h"
#include "runtime/train/build_facts.h"

namespace panther::runtime {

namespace {

at::ScalarType parameter_type(const std::string& dtype) { return dtype == "f64" ? at::kDouble : at::kFloat; }

std::uint64_t sign_digest(const std::vector<LayerFacts>& layers) {
  std::uint64_t digest = 0;
  for (const LayerFacts& layer : layers) digest = mix64(digest, layer.seed_key);
  return digest;
}

void check_batch(const Session& session) {
  const RunConfig& config = session.config();
  PANTHER_REQUIRE(config.train.global_batch >= session.world.size(), session.loaded.origin.at("train.global_batch"), ": ",
                  config.train.global_batch, " samples cannot be shared among ", session.world.size(),
                  " ranks; raise train.global_batch or start fewer ranks");
}

/// train.init_from as a file: a safetensors file, or whatever names a checkpoint.
std::filesystem::path start_weights(const LoadedConfig& loaded) {
  const std::filesystem::path given = loaded.config.train.init_from;
  PANTHER_REQUIRE(std::filesystem::exists(given), loaded.origin.at("train.init_from"), ": ", given, " does not exist; name a safetensors file, a "
                  "run folder or a checkpoint");
  if (!std::filesystem::is_directory(given)) return given;
  return verify_checkpoint(resolve_checkpoint(given)).folder / "model.safetensors";
}

}  // namespace

BuiltModel build_model(const LoadedConfig& loaded, const DataShape& shape, Device device) {
  const RunConfig& config = loaded.config;
  SketchPolicy policy(config.sketch, loaded.origin);
  BuildContext context;
  context.seed = static_cast<std::uint64_t>(config.seed);
  context.dtype = parameter_type(config.dtype);
  context.device = torch_device(device);
  context.policy = &policy;
  BuiltModel built;
  built.model = make_model(config.model, shape, context);
  built.parameters = parameters_of(*built.model);
  built.layers = facts_of(*built.model);
  built.cost = cost_of(built.layers);
  return built;
}

TrainingState Session::state() {
  TrainingState state;
  RunConfig config = loaded.config;
  state.step = step;
  state.position = position;
  state.optimizer_steps = optimizer->steps_taken();
  state.nonfinite_skipped = nonfinite_skipped;
  state.seed = static_cast<std::uint64_t>(config.seed);
  state.config_toml = config_to_toml(config.visitor());
  state.config_hash = model_hash(config);
  state.model = stored_tensors_of(*built.model);
  state.optimizer = shards ? shards->whole_state(*optimizer) : optimizer->state();
  if (average) state.average = average->state();
  state.layers = built.layers;
  state.shape = data.train->shape();
  return state;
}

std::unique_ptr<Session> open_session(LoadedConfig loaded, const RankFacts& facts) {
  auto session = std::make_unique<Session>();
  session->loaded = std::move(loaded);
  const RunConfig& config = session->config();
  session->world = join_world(config, facts);
  check_batch(*session);
  comm::require_equal_digests(*session->world.collective, {{"configuration", agreement_hash(config)}, {"program", build_digest()}},
                              session->world.deadline());
  session->data = make_datasets(config.data, static_cast<std::uint64_t>(config.seed), session->loaded.origin);
  session->built = build_model(session->loaded, session->data.train->shape(), session->world.device);
  if (!config.train.init_from.empty()) initialise_from_file(*session->built.model, start_weights(session->loaded));
  if (config.comm.shard_optimizer && session->world.size() > 1) session->shards.emplace(session->built.parameters, *session->world.collective, config.comm);
  session->optimizer = make_optimizer(config.optim, session->shards ? session->shards->owned() : session->built.parameters);
  if (config.train.average_decay > 0) session->average.emplace(session->built.parameters, config.train.average_decay);
  return session;
}

void require_same_state(Session& session) {
  comm::require_equal_digests(*session.world.collective,
                              {{"parameters", parameter_digest(session.built.parameters)},
                               {"sketch signs", sign_digest(session.built.layers)},
                               {"position in the data", static_cast<std::uint64_t>(session.position)}},
                              session.world.deadline());
}

}  // namespace panther::runtime
