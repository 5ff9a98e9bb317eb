#include "runtime/train/resume.h"

#include "core/error.h"
#include "core/log.h"
#include "runtime/parallel/codec_resize.h"
#include "runtime/train/model_difference.h"

namespace panther::runtime {

namespace fs = std::filesystem;

namespace {

/// Rank 0's choice as text; "" = start anew.
std::string choose_checkpoint(const RunFolder& folder, const std::string& how) {
  if (how != "auto") return verify_checkpoint(resolve_checkpoint(how)).folder.string();
  std::vector<SkippedCheckpoint> skipped;
  const auto newest = newest_valid(folder.checkpoints(), skipped);
  for (const SkippedCheckpoint& passed : skipped) log_warn("checkpoint skipped", {{"folder", passed.folder.string()}, {"why", passed.why}});
  return newest ? newest->folder.string() : std::string();
}

}  // namespace

void load_parameters(const BuiltModel& built, const fs::path& checkpoint) {
  load_tensors(checkpoint / "model.safetensors", stored_tensors_of(*built.model));
  refresh_layers(*built.model);
}

namespace {

void require_same_model(const CheckpointInfo& info, const RunConfig& config) {
  if (info.config_hash == model_hash(config)) return;
  const std::string difference = model_difference(info.config_toml, config);
  fail(ErrorCode::InvalidArgument, "checkpoint ", info.folder, " holds another model than this configuration describes: ",
       difference.empty() ? "seed, [model], [[sketch]], data.seq_len or dtype differ" : difference, "; compare ", info.folder / "config.toml",
       ", name another run (run.name), or start without --resume");
}

/// A checkpoint without an average starts one at its parameters.
void resume_average(Session& session, const CheckpointInfo& info) {
  if (!session.average) return;
  if (info.file_bytes.contains(average_file(info.folder).filename().string())) return load_tensors(average_file(info.folder), session.average->state());
  session.average.emplace(session.built.parameters, session.config().train.average_decay);
  if (session.world.leader()) log_warn("the average of the parameters starts anew", {{"checkpoint", info.folder.string()}, {"why", "the checkpoint holds none"}});
}

}  // namespace

void resume_session(Session& session, const RunFolder& folder, const std::string& how) {
  if (how.empty()) return;
  std::string chosen;
  std::string problem;
  ErrorCode code = ErrorCode::InvalidArgument;
  if (session.world.leader()) {
    try {
      chosen = choose_checkpoint(folder, how);
    } catch (const Error& error) {
      problem = error.message();
      code = error.code();
    }
  }
  // All ranks fail alike, so that none is left waiting.
  problem = broadcast_text(session.world, problem);
  if (!problem.empty()) fail(code, problem);
  chosen = broadcast_text(session.world, chosen);
  if (chosen.empty()) return;
  const CheckpointInfo info = verify_checkpoint(chosen);
  require_same_model(info, session.config());
  load_parameters(session.built, info.folder);
  const fs::path optimizer = info.folder / "optimizer.safetensors";
  session.shards ? session.shards->load_state(read_tensors(optimizer), *session.optimizer) : load_tensors(optimizer, session.optimizer->state());
  session.optimizer->set_steps_taken(info.optimizer_steps);
  resume_average(session, info);
  session.step = info.step;
  session.position = info.position;
  session.nonfinite_skipped = info.nonfinite_skipped;
  session.resumed_from = info.folder;
  if (session.world.leader()) log_info("resumed", {{"checkpoint", info.folder.string()}, {"step", info.step}});
}

namespace {

constexpr const char* kOptimizerSteps = "optimizer/steps";

constexpr const char* kHolders = "exchange/holders";

/// Ranks that held residuals when the states were saved.
int holders_of(const std::map<std::string, at::Tensor>& state, int ranks) {
  const auto found = state.find(kHolders);
  return found == state.end() ? ranks : static_cast<int>(found->second.item<std::int64_t>());
}

/// What this rank goes on from, of the states that ranks left in the checkpoint, where `holders` ranks hold residuals; nullopt where there is none.
std::optional<std::map<std::string, at::Tensor>> rank_state(const Session& session, int holders) {
  if (session.resumed_from.empty()) return {};
  const int stored = exchange_ranks_of(session.resumed_from), ranks = session.world.size();
  if (stored == 0) {
    if (session.world.leader()) {
      log_warn("resume is not bit-exact: the exchange's state starts fresh", {{"comm.exchange", session.config().comm.exchange},
                                                                              {"checkpoint", session.resumed_from.string()}, {"why", "the checkpoint holds none"}});
    }
    return {};
  }
  if (stored == ranks) {
    auto own = read_tensors(exchange_state_file(session.resumed_from, session.world.rank()));
    if (holders_of(own, stored) == holders) return own;
  }
  std::vector<std::map<std::string, at::Tensor>> before;
  for (int rank = 0; rank < stored; ++rank) before.push_back(read_tensors(exchange_state_file(session.resumed_from, rank)));
  if (session.world.leader()) {
    log_warn("resume is not bit-exact: residuals are shared out anew", {{"comm.exchange", session.config().comm.exchange},
                                                                        {"why", stored == ranks ? concat(holders_of(before.front(), stored), " ranks held them, now ", holders, " do")
                                                                                                : concat("the checkpoint holds those of ", stored, " ranks, there are ", ranks)}});
  }
  auto state = resized_codec_state(before, holders);
  state.erase(kHolders);
  return state;
}

}  // namespace

void resume_exchange(const Session& session, GradientSync& sync) {
  if (sync.stateless()) return;
  if (const auto state = rank_state(session, sync.state_holders())) sync.load_codec_state(*state);
}

NamedTensors local_state(Session& session, const LocalSteps& local) {
  NamedTensors state = local.state();
  for (const auto& [name, tensor] : session.optimizer->state()) state.emplace_back("optimizer/" + name, tensor);
  state.emplace_back(kOptimizerSteps, at::full({1}, session.optimizer->steps_taken(), at::TensorOptions().dtype(at::kLong)));
  return state;
}

void resume_local(Session& session, LocalSteps& local) {
  const auto state = rank_state(session, local.state_holders());
  if (!state) return;
  local.load_state(*state);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : session.optimizer->state()) {
    if (const auto stored = state->find("optimizer/" + name); stored != state->end()) tensor.copy_(stored->second.view_as(tensor));
  }
  if (const auto steps = state->find(kOptimizerSteps); steps != state->end()) session.optimizer->set_steps_taken(steps->second.item<std::int64_t>());
}

}  // namespace panther::runtime
