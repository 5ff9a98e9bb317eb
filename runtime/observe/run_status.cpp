#include "runtime/observe/run_status.h"

#include <unistd.h>

#include <fstream>

#include "core/clock.h"
#include "core/env.h"
#include "core/json_text.h"
#include "core/text.h"

namespace panther::runtime {
namespace {

constexpr double kEverySeconds = 1;

/// "key": value pairs, comma between.
class Object {
 public:
  Object& number(std::string_view key, double value) { return raw(key, json_number(value)); }
  Object& integer(std::string_view key, std::int64_t value) { return raw(key, concat(value)); }
  Object& text(std::string_view key, std::string_view value) { return raw(key, json_quote(value)); }
  Object& raw(std::string_view key, std::string_view value) {
    if (!body_.empty()) body_ += ", ";
    body_ += json_quote(key);
    body_ += ": ";
    body_ += value;
    return *this;
  }
  std::string done() const { return "{" + body_ + "}"; }

 private:
  std::string body_;
};

std::string bucket_json(const comm::BucketReport& bucket) {
  return Object()
      .text("codec", bucket.codec)
      .integer("elements", bucket.elements)
      .integer("bytes_predicted", bucket.bytes_planned)
      .integer("bytes_counted", bucket.bytes_sent)
      .number("ready_seconds", bucket.ready_seconds)
      .number("encode_seconds", bucket.encode_seconds)
      .number("collective_seconds", bucket.collective_seconds)
      .number("decode_seconds", bucket.decode_seconds)
      .number("exposed_seconds", bucket.exposed_seconds)
      .number("residual_ratio", bucket.health.residual_ratio)
      .number("relative_error", bucket.health.relative_error)
      .number("effective_rank", bucket.health.effective_rank)
      .done();
}

template <class Items, class Text>
std::string list(const Items& items, const Text& text) {
  std::string result = "[";
  for (const auto& item : items) result += (result.size() > 1 ? ", " : "") + text(item);
  return result + "]";
}

}  // namespace

std::string status_json(const RunStatus& s, const std::string& host, std::int64_t pid) {
  Object object;
  object.integer("version", 1).text("state", s.state).text("host", host).integer("pid", pid).number("started", s.started).number("updated", s.updated);
  object.integer("first_step", s.first_step).integer("step", s.step).integer("steps", s.steps).integer("ranks", s.ranks).text("backend", s.backend).text("exchange", s.exchange);
  object.number("loss", s.loss).number("learning_rate", s.learning_rate).number("gradient_norm", s.gradient_norm).number("tokens_per_second", s.tokens_per_second).text("unit", s.unit);
  object.number("eta_seconds", s.eta_seconds);
  object.raw("step_seconds", Object()
                                 .number("data", s.data_seconds)
                                 .number("forward", s.forward_seconds)
                                 .number("backward", s.backward_seconds)
                                 .number("exposed", s.exposed_seconds)
                                 .number("optimizer", s.optimizer_seconds)
                                 .done());
  object.integer("bytes_sent", s.bytes_sent).integer("bytes_inside", s.bytes_inside).integer("bytes_dense_f32", s.bytes_dense_f32).integer("memory_bytes", s.memory_bytes).integer("skipped", s.skipped);
  object.raw("checkpoint", s.checkpoint_step < 0 ? "null" : Object().integer("step", s.checkpoint_step).number("time", s.checkpoint_time).done());
  object.raw("validation", list(s.validation, [](const auto& point) { return concat("[", point.first, ", ", json_number(point.second), "]"); }));
  object.raw("buckets", list(s.buckets, bucket_json));
  object.raw("plan", s.plan_step < 0 ? "null" : Object().integer("step", s.plan_step).raw("why", list(s.plan, [](const std::string& why) { return json_quote(why); })).done());
  return object.done() + "\n";
}

StatusFile::StatusFile(const std::filesystem::path& run_folder) : path_(run_folder / "status.json"), host_(host_name()) {}

bool StatusFile::due() const { return unix_seconds() - last_ >= kEverySeconds; }

void StatusFile::write(RunStatus& status) {
  status.updated = last_ = unix_seconds();
  std::filesystem::path beside = path_;
  beside += ".tmp";
  {
    std::ofstream file(beside, std::ios::trunc);
    file << status_json(status, host_, ::getpid());
    if (!file.flush()) return;
  }
  std::error_code error;
  std::filesystem::rename(beside, path_, error);
}

}  // namespace panther::runtime
