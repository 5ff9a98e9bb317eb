#include "runtime/train/reporter.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/clock.h"
#include "core/log.h"
#include "runtime/observe/peak_flops.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {

namespace {

constexpr std::size_t kValidationPoints = 64;

at::ScalarType compute_type(const std::string& dtype) {
  if (dtype == "f64") return at::kDouble;
  return dtype == "bf16" ? at::kBFloat16 : at::kFloat;
}

/// Sums over the buckets of a step, and the largest residual.
void exchange_scalars(const comm::ExchangeReport& exchange, Scalars& scalars) {
  double encode = 0, decode = 0, residual = -1, error = -1;
  for (const comm::BucketReport& bucket : exchange.buckets) {
    encode += bucket.encode_seconds;
    decode += bucket.decode_seconds;
    residual = std::max(residual, bucket.health.residual_ratio);
    error = std::max(error, bucket.health.relative_error);
  }
  if (exchange.buckets.empty()) return;
  scalars.emplace_back("comm/encode_s", encode);
  scalars.emplace_back("comm/decode_s", decode);
  if (residual >= 0) scalars.emplace_back("comm/residual_ratio", residual);
  if (error >= 0) scalars.emplace_back("comm/relative_error", error);
}

/// Every bucket's, for TensorBoard.
Scalars bucket_scalars(const comm::ExchangeReport& exchange) {
  Scalars scalars;
  for (std::size_t i = 0; i < exchange.buckets.size(); ++i) {
    const comm::BucketReport& bucket = exchange.buckets[i];
    const std::string prefix = concat("bucket_", i, "/");
    scalars.emplace_back(prefix + "bytes_predicted", static_cast<double>(bucket.bytes_planned));
    scalars.emplace_back(prefix + "bytes", static_cast<double>(bucket.bytes_sent));
    scalars.emplace_back(prefix + "encode_s", bucket.encode_seconds);
    scalars.emplace_back(prefix + "collective_s", bucket.collective_seconds);
    scalars.emplace_back(prefix + "decode_s", bucket.decode_seconds);
    scalars.emplace_back(prefix + "exposed_s", bucket.exposed_seconds);
    if (bucket.health.residual_ratio >= 0) scalars.emplace_back(prefix + "residual_ratio", bucket.health.residual_ratio);
    if (bucket.health.relative_error >= 0) scalars.emplace_back(prefix + "relative_error", bucket.health.relative_error);
    if (bucket.health.effective_rank >= 0) scalars.emplace_back(prefix + "effective_rank", bucket.health.effective_rank);
  }
  return scalars;
}

std::string unit_of(const Session& session) { return session.data.train->shape().sequence > 0 ? "tokens" : "samples"; }

}  // namespace

RunReporter::RunReporter(const Session& session, const std::filesystem::path& run_folder)
    : session_(session), config_(session.config()), metrics_(run_folder, session.step), progress_(session.step, config_.train.steps, unit_of(session)), status_file_(run_folder),
      peak_flops_(peak_flops(torch_device(session.world.device), compute_type(config_.dtype)) * session.world.size()) {
  status_.started = unix_seconds();
  status_.first_step = status_.step = session.step;
  status_.steps = config_.train.steps;
  status_.ranks = session.world.size();
  status_.backend = session.world.collective->backend();
  status_.exchange = config_.comm.exchange;
  status_.unit = unit_of(session);
  status_file_.write(status_);
  RunConfig shown = config_;
  metrics_.write_text("config", "```toml\n" + config_to_toml(shown.visitor()) + "```");
}

/// What exchange = "auto" decided before this step.
void RunReporter::tell_plan(const comm::ExchangeReport& exchange) {
  if (exchange.plan.empty()) return;
  std::map<std::string, int> counts;
  for (const comm::BucketReport& bucket : exchange.buckets) ++counts[bucket.codec];
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) parts.push_back(concat(count, " x ", name));
  progress_.note(concat("step ", session_.step, ": exchange plan ", join(parts), "; ", human_bytes(static_cast<double>(exchange.bytes_sent)), " sent per step"));
  metrics_.write_text("comm/plan", join(exchange.plan, "\n\n"));
  for (const std::string& reason : exchange.plan) log_info("exchange plan", {{"step", session_.step}, {"why", reason}});
}

void RunReporter::note_status(const StepResult& result, const StepFacts& facts) {
  const comm::ExchangeReport& exchange = result.exchange;
  if (!exchange.plan.empty()) {
    status_.plan_step = session_.step;
    status_.plan = exchange.plan;
  }
  if (exchange.collectives > 0) {
    status_.bytes_sent = exchange.bytes_sent;
    status_.bytes_inside = exchange.bytes_inside;
    status_.bytes_dense_f32 = exchange.bytes_dense_f32;
  }
  if (!status_file_.due()) return;
  if (!exchange.buckets.empty()) status_.buckets = exchange.buckets;
  status_.step = session_.step;
  status_.loss = result.loss;
  status_.learning_rate = facts.lr;
  status_.gradient_norm = result.gradient_norm;
  status_.tokens_per_second = static_cast<double>(facts.targets) / facts.seconds;
  status_.eta_seconds = facts.training_seconds / static_cast<double>(facts.done) * static_cast<double>(config_.train.steps - session_.step);
  status_.data_seconds = result.times.data_seconds;
  status_.forward_seconds = result.times.forward_seconds;
  status_.backward_seconds = result.times.backward_seconds;
  status_.exposed_seconds = result.times.exposed_seconds;
  status_.optimizer_seconds = result.times.optimizer_seconds;
  status_.memory_bytes = memory_peak().host_bytes;
  status_.skipped = session_.nonfinite_skipped;
  status_file_.write(status_);
}

void RunReporter::step(const StepResult& result, const StepFacts& facts) {
  tell_plan(result.exchange);
  note_status(result, facts);
  const double rate = static_cast<double>(facts.targets) / facts.seconds;
  const double flops = rate * session_.built.cost.step_flops_per_row;
  const double mfu = peak_flops_ > 0 ? 100 * flops / peak_flops_ : 0;
  progress_.step({.step = session_.step, .loss = result.loss, .lr = facts.lr, .gradient_norm = result.gradient_norm, .tokens_per_second = rate,
                   .step_seconds = facts.seconds, .mfu_percent = mfu, .bytes_sent = result.exchange.bytes_sent});
  if (session_.step % config_.train.log_every != 0 && session_.step != config_.train.steps) return;
  Scalars scalars{{"train/loss", result.loss}, {"train/grad_norm", result.gradient_norm}, {"train/lr", facts.lr},
                  {"train/skipped", static_cast<double>(session_.nonfinite_skipped)},
                  {"perf/step_time_s", facts.seconds}, {"perf/tokens_per_s", rate}, {"perf/tflops", flops / 1e12},
                  {"data/wait_s", result.times.data_seconds}, {"perf/forward_s", result.times.forward_seconds},
                  {"perf/backward_s", result.times.backward_seconds}, {"perf/optimizer_s", result.times.optimizer_seconds},
                  {"comm/bytes", static_cast<double>(result.exchange.bytes_sent)}, {"comm/time_s", result.exchange.collective_seconds},
                  {"comm/exposed_s", result.times.exposed_seconds},
                  {"memory/max_active_gib", static_cast<double>(memory_peak().host_bytes) / (1 << 30)}};
  if (result.exchange.bytes_sent > 0) {
    scalars.emplace_back("comm/compression_ratio", static_cast<double>(result.exchange.bytes_dense_f32) / static_cast<double>(result.exchange.bytes_sent));
  }
  if (config_.comm.hierarchy.mode != "off") scalars.emplace_back("comm/bytes_inside", static_cast<double>(result.exchange.bytes_inside));
  exchange_scalars(result.exchange, scalars);
  if (mfu > 0) scalars.emplace_back("perf/mfu_pct", mfu);
  metrics_.write(session_.step, scalars);
  metrics_.write_detail(session_.step, bucket_scalars(result.exchange));
}

void RunReporter::validation(double loss, std::optional<double> average) {
  Scalars losses{{"val/loss", loss}};
  if (average) losses.emplace_back("val/average_loss", *average);
  metrics_.write(session_.step, losses);
  if (status_.validation.size() == kValidationPoints) status_.validation.erase(status_.validation.begin());
  status_.validation.emplace_back(session_.step, loss);
  const auto rounded = [](double value) { return std::round(value * 1e4) / 1e4; };
  progress_.note(concat("step ", session_.step, ": validation loss ", rounded(loss), average ? concat(", of the averaged parameters ", rounded(*average)) : ""));
}

void RunReporter::checkpoint() {
  status_.checkpoint_step = session_.step;
  status_.checkpoint_time = unix_seconds();
}

void RunReporter::finish(bool stopped, double last_loss) {
  progress_.finish();
  metrics_.flush();
  status_.state = stopped ? "stopped" : "finished";
  status_.step = session_.step;
  status_.loss = last_loss;
  status_.eta_seconds = stopped ? -1 : 0;
  status_file_.write(status_);
}

}  // namespace panther::runtime
