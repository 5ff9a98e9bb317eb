#include <nlohmann/json.hpp>

#include "core/error.h"
#include "launcher/status/run_view.h"

namespace panther::launcher {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

/// null where the run had no finite number.
double number(const json& object, const char* key, double otherwise = 0) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? otherwise : found->get<double>();
}

std::int64_t integer(const json& object, const char* key) { return object.at(key).get<std::int64_t>(); }

BucketView bucket_of(const json& object) {
  return {.codec = object.at("codec").get<std::string>(), .elements = integer(object, "elements"), .bytes_predicted = integer(object, "bytes_predicted"),
          .bytes_counted = integer(object, "bytes_counted"), .encode_seconds = number(object, "encode_seconds"), .collective_seconds = number(object, "collective_seconds"),
          .decode_seconds = number(object, "decode_seconds"), .exposed_seconds = number(object, "exposed_seconds"), .residual_ratio = number(object, "residual_ratio", -1),
          .relative_error = number(object, "relative_error", -1), .effective_rank = number(object, "effective_rank", -1)};
}

RunView run_of(const json& object) {
  RunView run;
  run.state = object.at("state").get<std::string>();
  run.host = object.at("host").get<std::string>();
  run.backend = object.at("backend").get<std::string>();
  run.exchange = object.at("exchange").get<std::string>();
  run.unit = object.at("unit").get<std::string>();
  for (const auto& [key, place] : {std::pair{"pid", &run.pid}, {"step", &run.step}, {"steps", &run.steps}, {"ranks", &run.ranks}, {"bytes_sent", &run.bytes_sent},
                                   {"bytes_inside", &run.bytes_inside}, {"bytes_dense_f32", &run.bytes_dense_f32}, {"memory_bytes", &run.memory_bytes}, {"skipped", &run.skipped}}) {
    *place = integer(object, key);
  }
  for (const auto& [key, place] : {std::pair{"started", &run.started}, {"updated", &run.updated}, {"loss", &run.loss}, {"learning_rate", &run.learning_rate},
                                   {"gradient_norm", &run.gradient_norm}, {"tokens_per_second", &run.tokens_per_second}}) {
    *place = number(object, key);
  }
  run.eta_seconds = number(object, "eta_seconds", -1);
  for (const char* part : {"data", "forward", "backward", "exposed", "optimizer"}) run.step_seconds.emplace_back(part, number(object.at("step_seconds"), part));
  if (const json& checkpoint = object.at("checkpoint"); !checkpoint.is_null()) {
    run.checkpoint_step = integer(checkpoint, "step");
    run.checkpoint_time = number(checkpoint, "time");
  }
  for (const json& point : object.at("validation")) run.validation.emplace_back(point.at(0).get<std::int64_t>(), point.at(1).is_null() ? 0.0 : point.at(1).get<double>());
  for (const json& bucket : object.at("buckets")) run.buckets.push_back(bucket_of(bucket));
  if (const json& plan = object.at("plan"); !plan.is_null()) {
    run.plan_step = integer(plan, "step");
    for (const json& why : plan.at("why")) run.plan.push_back(why.get<std::string>());
  }
  return run;
}

}  // namespace

RunView parse_status(std::string_view text, std::string_view where) {
  try {
    const json object = json::parse(text);
    const int version = object.at("version").get<int>();
    if (version > kVersion) fail(ErrorCode::Unsupported, "'", where, "' was written by a newer Panther (version ", version, ", this one reads ", kVersion, "); use that one's `panther status`");
    return run_of(object);
  } catch (const json::exception& error) {
    fail(ErrorCode::Corrupt, "'", where, "' is not what a run writes (", error.what(), "); a running job replaces it within a second");
  }
}

}  // namespace panther::launcher
