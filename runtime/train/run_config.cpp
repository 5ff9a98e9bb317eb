#include "runtime/train/run_config.h"

#include "comm/exchange/candidates.h"
#include "core/error.h"

namespace panther::runtime {

void RunSection::fields(FieldVisitor& v) {
  v.field("name", name, {.help = "folder under run.dir; empty = configuration's name and the time"});
  v.field("dir", dir, {.help = "folder that holds all runs"});
}

void TrainSection::fields(FieldVisitor& v) {
  v.field("steps", steps, {.help = "optimizer steps", .unit = "steps", .min = 1});
  v.field("global_batch", global_batch, {.help = "samples per step over all ranks", .unit = "samples", .min = 1, .max = 1 << 30});
  v.field("accumulate", accumulate, {.help = "micro-batches per rank and step", .min = 1});
  v.field("eval_every", eval_every, {.help = "steps between evaluations; 0 = only at the end", .unit = "steps", .min = 0});
  v.field("eval_batches", eval_batches, {.help = "global batches per evaluation", .min = 1});
  v.field("log_every", log_every, {.help = "steps between lines of metrics", .unit = "steps", .min = 1});
  v.field("average_decay", average_decay, {.help = "keep an exponential average of the parameters with this memory (0.999), and evaluate it too; 0 = none", .min = 0, .max = 0.9999999});
  v.field("average_every", average_every, {.help = "steps between its updates", .unit = "steps", .min = 1});
  v.field("init_from", init_from, {.help = "checkpoint or safetensors file with dense weights to start from"});
  v.field("deterministic", deterministic, {.help = "the same bits in two runs with the same ranks"});
}

void RunConfig::fields(FieldVisitor& v) {
  v.field("seed", seed, {.help = "key of all randomness: signs, initial weights, order of samples, dropout", .min = 0});
  v.field("device", device, {.help = "where to compute", .choices = {"auto", "cpu", "cuda"}});
  v.field("dtype", dtype, {.help = "precision; bf16 computes in bf16 and keeps parameters in f32", .choices = {"f32", "f64", "bf16"}});
  v.section("run", run, "where results go");
  v.section("data", data, "what is learnt from");
  v.section("model", model, "what is trained");
  v.sections("sketch", sketch, "which linear layers take which form; the last match wins");
  v.section("optim", optim, "update rule");
  v.section("schedule", schedule, "learning rate over time");
  v.section("train", train, "how long and how much at once");
  v.section("checkpoint", checkpoint, "what is kept");
  v.section("comm", comm, "how gradients travel");
  v.section("profile", profile, "timelines");
}

namespace {

/// A misspelt candidate is said with its place, before anything starts.
void check_automatic_exchange(const LoadedConfig& loaded) {
  const RunConfig& config = loaded.config;
  if (config.comm.exchange != comm::kAutomaticExchange) return;
  try {
    comm::candidates_of(config.comm.automatic, config.comm.codec);
  } catch (const Error& error) {
    throw Error(error.code(), concat(loaded.origin.at(config.comm.automatic.plan.empty() ? "comm.auto.candidates" : "comm.auto.plan"), ": ", error.message()));
  }
}

void check_contradictions(const LoadedConfig& loaded) {
  const RunConfig& c = loaded.config;
  const auto at = [&](const char* key) { return loaded.origin.at(key); };
  PANTHER_REQUIRE(c.model.width % c.model.heads == 0 || c.model.kind != "gpt", at("model.width"), ": ", c.model.width,
                  " is not a multiple of ", at("model.heads"), " = ", c.model.heads, "; each head needs an equal share of the width");
  PANTHER_REQUIRE(c.model.kind != "gpt" || c.data.kind == "bytes", at("model.kind"), ": gpt needs tokens, but ", at("data.kind"), " is '",
                  c.data.kind, "'; use data.kind = \"bytes\" or model.kind = \"mlp\"");
  PANTHER_REQUIRE(c.model.kind != "mlp" || c.data.kind != "bytes", at("model.kind"), ": mlp needs rows of numbers, but ", at("data.kind"),
                  " is 'bytes'; use data.kind = \"csv\" or \"synthetic\", or model.kind = \"gpt\"");
  PANTHER_REQUIRE(c.schedule.kind == "constant" || c.schedule.warmup_steps <= c.train.steps, at("schedule.warmup_steps"), ": ",
                  c.schedule.warmup_steps, " warm-up steps do not fit into ", at("train.steps"), " = ", c.train.steps);
  PANTHER_REQUIRE(c.train.accumulate <= c.train.global_batch, at("train.accumulate"), ": ", c.train.accumulate,
                  " micro-batches cannot be cut from ", at("train.global_batch"), " = ", c.train.global_batch, " samples");
  PANTHER_REQUIRE(c.comm.verify_every == 0 || !c.comm.codec.compress_sketched, at("comm.verify_every"), ": gradients of sketched layers that a codec changes do not fit together any more; leave ",
                  at("comm.codec.compress_sketched"), " = false, or set comm.verify_every = 0");
  PANTHER_REQUIRE(c.comm.hierarchy.mode != "set" || c.comm.hierarchy.node_ranks > 0, at("comm.hierarchy.mode"), ": \"set\" needs comm.hierarchy.node_ranks, the number of consecutive ranks that are a node");
  PANTHER_REQUIRE(c.comm.hierarchy.mode == "off" || !c.comm.shard_optimizer, at("comm.shard_optimizer"), ": each rank gets its part of the sum alone, which two levels (", at("comm.hierarchy.mode"),
                  ") do not give; switch one of them off");
  if (c.comm.shard_optimizer) {
    PANTHER_REQUIRE(c.comm.exchange == "none" || c.comm.exchange == "half", at("comm.shard_optimizer"), ": each rank gets its part of the sum alone, which ", at("comm.exchange"), " = \"",
                    c.comm.exchange, "\" cannot give; use \"none\" or \"half\"");
    PANTHER_REQUIRE(!c.comm.checked, at("comm.checked"), ": compares sums that all ranks hold, and with ", at("comm.shard_optimizer"), " each holds its part alone; switch one of them off");
    PANTHER_REQUIRE(c.comm.local.every == 0, at("comm.local.every"), ": ranks that train alone need a whole optimizer each; switch ", at("comm.shard_optimizer"), " off");
  }
  if (c.comm.local.every > 0) {
    LocalSchedule(c.comm.local, c.train.steps);
    for (const auto& [key, every] : {std::pair{"checkpoint.every", c.checkpoint.every}, {"train.eval_every", c.train.eval_every}, {"train.average_every", c.train.average_decay > 0 ? c.train.average_every : 0}}) {
      PANTHER_REQUIRE(every % c.comm.local.every == 0, at(key), ": after ", every, " steps the ranks have no parameters in common, they come together every ",
                      at("comm.local.every"), " = ", c.comm.local.every, "; choose a multiple of it");
    }
    PANTHER_REQUIRE(c.comm.verify_every == 0, at("comm.verify_every"), ": with ", at("comm.local.every"), " = ", c.comm.local.every,
                    " no gradients are exchanged that could be compared; set it to 0");
  }
  check_automatic_exchange(loaded);
  for (std::size_t i = 0; i < c.sketch.size(); ++i) {
    const std::string key = concat("sketch[", i, "]");
    PANTHER_REQUIRE(!c.sketch[i].match.empty(), at((loaded.origin.is_set(key + ".match") ? key + ".match" : key).c_str()), ": match is empty; give the layers this rule is for, e.g. \"blocks.*.mlp.*\"");
    PANTHER_REQUIRE(c.sketch[i].init == "scratch" || !c.train.init_from.empty(), at((key + ".init").c_str()), ": init = \"", c.sketch[i].init,
                    "\" fits dense weights; name them with train.init_from");
  }
}

}  // namespace

LoadedConfig load_run_config(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  LoadedConfig loaded;
  loaded.file = file;
  loaded.origin = load_config(file, overrides, loaded.config.visitor());
  check_contradictions(loaded);
  return loaded;
}

LoadedConfig load_run_config_text(const std::string& text, const std::string& name) {
  LoadedConfig loaded;
  loaded.origin = load_config_text(text, name, {}, loaded.config.visitor());
  check_contradictions(loaded);
  return loaded;
}

RunConfig model_settings(const RunConfig& config) {
  RunConfig shape;
  shape.seed = config.seed;
  shape.model = config.model;
  shape.model.dropout = 0;
  shape.sketch = config.sketch;
  for (SketchRule& rule : shape.sketch) rule.init = "scratch";
  shape.data.kind = config.data.kind;
  shape.data.seq_len = config.data.seq_len;
  shape.dtype = config.dtype == "f64" ? "f64" : "f32";
  return shape;
}

std::uint64_t model_hash(const RunConfig& config) { return config_hash(model_settings(config).visitor()); }

std::uint64_t agreement_hash(const RunConfig& config) {
  RunConfig shared = config;
  shared.run = {};
  shared.comm.interface_address.clear();
  return config_hash(shared.visitor());
}

}  // namespace panther::runtime
