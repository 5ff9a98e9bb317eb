#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "launcher/status/run_view.h"

namespace panther::launcher {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// null where the run had no finite number.
double number(const json& value) { return value.is_null() ? kNan : value.get<double>(); }

double number(const json& object, const char* key, double otherwise = kNan) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? otherwise : found->get<double>();
}

std::int64_t integer(const json& object, const char* key) { return object.at(key).get<std::int64_t>(); }

BucketView bucket_of(const json& object) {
  return {.codec = object.at("codec").get<std::string>(),
          .elements = integer(object, "elements"),
          .bytes_predicted = integer(object, "bytes_predicted"),
          .bytes_counted = integer(object, "bytes_counted"),
          .encode_seconds = number(object, "encode_seconds"),
          .collective_seconds = number(object, "collective_seconds"),
          .decode_seconds = number(object, "decode_seconds"),
          .exposed_seconds = number(object, "exposed_seconds"),
          .residual_ratio = number(object, "residual_ratio"),
          .relative_error = number(object, "relative_error"),
          .effective_rank = number(object, "effective_rank")};
}

RunView run_of(const json& object) {
  RunView run;
  run.state = object.at("state").get<std::string>();
  run.host = object.at("host").get<std::string>();
  run.backend = object.at("backend").get<std::string>();
  run.exchange = object.at("exchange").get<std::string>();
  run.unit = object.at("unit").get<std::string>();
  for (const auto& [key, place] : {std::pair{"pid", &run.pid},
                                   {"step", &run.step},
                                   {"steps", &run.steps},
                                   {"ranks", &run.ranks},
                                   {"bytes_sent", &run.bytes_sent},
                                   {"bytes_inside", &run.bytes_inside},
                                   {"bytes_dense_f32", &run.bytes_dense_f32},
                                   {"memory_bytes", &run.memory_bytes},
                                   {"skipped", &run.skipped}}) {
    *place = integer(object, key);
  }
  for (const auto& [key, place] : {std::pair{"started", &run.started},
                                   {"updated", &run.updated},
                                   {"loss", &run.loss},
                                   {"learning_rate", &run.learning_rate},
                                   {"gradient_norm", &run.gradient_norm},
                                   {"tokens_per_second", &run.tokens_per_second}}) {
    *place = number(object, key);
  }
  run.eta_seconds = number(object, "eta_seconds", -1);
  for (const char* part : {"data", "forward", "backward", "exposed", "optimizer"})
    run.step_seconds.emplace_back(part, number(object.at("step_seconds"), part));
  if (const json& checkpoint = object.at("checkpoint"); !checkpoint.is_null()) {
    run.checkpoint_step = integer(checkpoint, "step");
    run.checkpoint_time = number(checkpoint, "time");
  }
  for (const json& point : object.at("validation")) run.validation.emplace_back(point.at(0).get<std::int64_t>(), number(point.at(1)));
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
    if (version > kVersion)
      fail(ErrorCode::Unsupported, "'", where, "' was written by a newer Panther (version ", version, ", this one reads ", kVersion,
           "); use that one's `panther status`");
    return run_of(object);
  } catch (const json::exception& error) {
    fail(ErrorCode::Corrupt, "'", where, "' is not what a run writes (", error.what(), "); a running job replaces it within a second");
  }
}

std::string view_json(const RunView& run, const std::string& folder, const std::string& now) {
  json seconds = json::object(), validation = json::array();
  for (const auto& [part, value] : run.step_seconds) seconds[part] = value;
  for (const auto& [step, value] : run.validation) validation.push_back({step, value});
  json object{{"folder", folder},
              {"now", now},
              {"state", run.state},
              {"host", run.host},
              {"updated", run.updated},
              {"step", run.step},
              {"steps", run.steps},
              {"ranks", run.ranks},
              {"backend", run.backend},
              {"exchange", run.exchange},
              {"loss", run.loss},
              {"learning_rate", run.learning_rate},
              {"gradient_norm", run.gradient_norm},
              {"tokens_per_second", run.tokens_per_second},
              {"step_seconds", seconds},
              {"bytes_sent", run.bytes_sent},
              {"bytes_dense_f32", run.bytes_dense_f32},
              {"memory_bytes", run.memory_bytes},
              {"skipped", run.skipped},
              {"validation", validation},
              {"checkpoint", nullptr},
              {"buckets", json::array()},
              {"plan", nullptr}};
  if (run.checkpoint_step >= 0) object["checkpoint"] = {{"step", run.checkpoint_step}, {"time", run.checkpoint_time}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace panther::launcher
