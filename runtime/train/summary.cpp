#include "runtime/train/summary.h"

#include <cmath>
#include <iomanip>

#include "core/table.h"
#include "core/text.h"
#include "runtime/observe/progress.h"

namespace panther::runtime {

namespace {

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

std::string ms(double seconds) { return fixed(seconds * 1e3, 1) + " ms"; }

std::string of_dense(double part, double dense) {
  return dense > 0 ? concat(" (", fixed(100 * part / dense, 1), " % of the dense twin's ", human_count(dense), ")") : "";
}

}  // namespace

std::string training_summary(const Session& session, const RunFolder& folder, const TrainingOutcome& outcome) {
  const ModelCost& cost = session.built.cost;
  const StepTimes& t = outcome.mean_times;
  const comm::Collective& collective = *session.world.collective;
  const double dense_bytes = static_cast<double>(collective.all_reduce_bytes_sent(cost.dense_parameters * 4));
  const MemoryPeak memory = memory_peak();
  const bool tokens = session.data.train->shape().sequence > 0;
  const std::string path = folder.path.string();
  std::vector<std::pair<std::string, std::string>> rows{
      {"training loss", concat("first ", fixed(outcome.first_loss, 3), "   last ", fixed(outcome.last_loss, 3))},
      {"validation loss", !session.data.validation
                              ? std::string(kNothingHeldOut)
                              : concat("first ", fixed(outcome.first_validation.loss, 3), "   last ", fixed(outcome.last_validation.loss, 3),
                                       tokens ? concat("   (uniform ", fixed(std::log(256.0), 3), ")") : "")},
      {"steps", concat(outcome.first_step, " to ", outcome.last_step, " in ", human_seconds(outcome.wall_seconds))},
      {tokens ? "tokens per second" : "samples per second",
       outcome.training_seconds > 0 ? human_count(static_cast<double>(outcome.targets) / outcome.training_seconds) : "-"},
      {"step time", concat(ms(t.total()), " = data ", ms(t.data_seconds), " + forward ", ms(t.forward_seconds), " + backward ", ms(t.backward_seconds),
                           " + exchange exposed ", ms(t.exposed_seconds), " + optimizer ", ms(t.optimizer_seconds))},
      {"trained parameters", human_count(static_cast<double>(cost.parameters)) +
                                 of_dense(static_cast<double>(cost.parameters), static_cast<double>(cost.dense_parameters))},
      {"bytes sent per step", session.world.size() == 1 ? std::string("0 (one rank)")
                                                        : concat(human_bytes(outcome.mean_bytes_sent), " per rank (dense twin ", human_bytes(dense_bytes), ")")},
      {"ranks", concat(session.world.size(), " over ", collective.backend())},
      {"peak memory", human_bytes(static_cast<double>(memory.host_bytes)) +
                          (memory.device_bytes > 0 ? concat(" host, ", human_bytes(static_cast<double>(memory.device_bytes)), " device") : " (rank 0)")}};
  if (session.nonfinite_skipped > 0) rows.emplace_back("skipped steps", concat(session.nonfinite_skipped, " (not finite)"));
  rows.emplace_back("run folder", path);
  rows.emplace_back("checkpoint", path + "/checkpoints/latest");
  rows.emplace_back("TensorBoard", concat("tensorboard --logdir ", path, "/tb"));
  if (outcome.traced_events > 0) rows.emplace_back("trace", concat(path, "/traces/rank_0.json (open in ui.perfetto.dev)"));
  return format_table("summary", rows);
}

}  // namespace panther::runtime
