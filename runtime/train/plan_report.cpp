#include "runtime/train/plan_report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "comm/collective.h"
#include "core/table.h"
#include "core/text.h"
#include "runtime/observe/progress.h"
#include "runtime/parallel/gradient_sync.h"

namespace panther::runtime {

namespace {

std::string form_of(const LayerFacts& layer) {
  if (layer.spec.kind == "dense" || layer.spec.sketch_size == 0) return layer.kind;
  return concat(layer.kind, " R=", layer.spec.sketch_size);
}

/// Bytes rank 0 sends per step for `elements` gradients.
double bytes_sent(std::int64_t elements, int world_size, int element_bytes) {
  return static_cast<double>(comm::ring_bytes_sent(elements * element_bytes, 0, world_size));
}

/// "5 powersgd-4, 1 half".
std::string counted(const std::vector<std::string>& names) {
  std::map<std::string, int> counts;
  for (const std::string& name : names) ++counts[name];
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) parts.push_back(concat(count, " ", name));
  return join(parts);
}

/// What exchange = "auto" would do: on the link that is set, with its reasons, or on several.
std::string link_plans(const RunConfig& config, const BuiltModel& built, int world_size) {
  if (config.comm.exchange != comm::kAutomaticExchange || world_size == 1) return {};
  if (!config.comm.automatic.plan.empty()) return concat("\nexchange plan: ", config.comm.automatic.plan, ", whatever the link (comm.auto.plan)\n");
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> reasons;
  std::vector<double> rates{10, 25, 100, 1000, 10000};
  if (config.comm.automatic.link_mbit > 0) rates = {config.comm.automatic.link_mbit};
  for (const double rate : rates) {
    const LinkPlan plan = plan_for_link(built.parameters, config.comm, world_size, rate);
    rows.push_back({concat(rate, " Mb/s"), counted(plan.codecs), human_bytes(static_cast<double>(plan.bytes_sent)), concat(std::round(1e4 * plan.exchange_seconds) / 10, " ms")});
    if (rates.size() == 1) reasons = plan.why;
  }
  std::string text = concat("\n", format_columns({"link", "exchange plan by buckets", "bytes/step", "exchange, nothing hidden"}, rows));
  for (const std::string& reason : reasons) text += reason + "\n";
  return text;
}

std::string percent(double part, double whole) { return whole > 0 ? concat(std::round(1000 * part / whole) / 10, " %") : "-"; }

}  // namespace

std::string plan_report(const LoadedConfig& loaded, const Datasets& data, const BuiltModel& built, int world_size) {
  RunConfig config = loaded.config;
  std::vector<std::vector<std::string>> rows;
  for (const LayerFacts& layer : built.layers) {
    rows.push_back({layer.path, form_of(layer), concat(layer.in_features), concat(layer.out_features), concat(layer.parameters),
                    percent(static_cast<double>(layer.parameters), static_cast<double>(layer.dense_parameters)),
                    human_count(layer.forward_flops_per_row + layer.backward_flops_per_row),
                    human_bytes(bytes_sent(layer.parameters, world_size, 4))});
  }
  const ModelCost& cost = built.cost;
  const std::int64_t rows_per_rank = (config.train.global_batch + world_size * config.train.accumulate - 1) / (world_size * config.train.accumulate) *
                                     built.model->rows_per_sample();
  const int element_bytes = config.dtype == "f64" ? 8 : 4;
  const MemoryEstimate memory = estimate_memory(cost, rows_per_rank, (config.optim.kind == "adamw" ? 2 : 1) * optimizer_elements(built.parameters, config.comm, world_size), element_bytes);
  const auto sent = static_cast<double>(planned_bytes_sent(built.parameters, config.comm, world_size));
  const double often = static_cast<double>(std::max<std::int64_t>(1, config.comm.local.every));
  const double parameters = static_cast<double>(cost.parameters), dense = static_cast<double>(cost.dense_parameters);
  const std::int64_t step_rows = config.train.global_batch * built.model->rows_per_sample();
  return concat("# resolved configuration\n", config_to_toml(config.visitor()), "\n",
                format_columns({"layer", "form", "in", "out", "parameters", "of dense", "flops/row", "f32 bytes/step"}, rows), "\n",
                format_table("plan", {
                    {"data", data.train->summary()},
                    {"validation", data.validation ? data.validation->summary() : std::string(kNothingHeldOut)},
                    {"trained parameters", concat(human_count(parameters), " (dense twin ", human_count(dense), ", ", percent(parameters, dense), ")")},
                    {"flops per step", concat(human_count(cost.step_flops_per_row * static_cast<double>(step_rows)), " (",
                                              percent(cost.step_flops_per_row, cost.dense_step_flops_per_row), " of the dense twin)")},
                    {"bytes sent per rank and step", concat(human_bytes(sent / often), " with ", config.comm.exchange, often > 1 ? concat(", ", human_bytes(sent), " every ", often, " steps") : "",
                                                            " (dense twin in f32 ", human_bytes(bytes_sent(cost.dense_parameters, world_size, 4)), ")")},
                    {"memory per rank", concat(human_bytes(static_cast<double>(memory.total())), " = parameters ", human_bytes(static_cast<double>(memory.parameters)),
                                               " + gradients ", human_bytes(static_cast<double>(memory.gradients)), " + optimizer ",
                                               human_bytes(static_cast<double>(memory.optimizer)), " + activations ", human_bytes(static_cast<double>(memory.activations)))},
                    {"steps", concat(config.train.steps, " of ", config.train.global_batch, " samples (", human_count(static_cast<double>(step_rows)), " rows)")}}),
                link_plans(config, built, world_size));
}

}  // namespace panther::runtime
