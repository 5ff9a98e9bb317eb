#pragma once
// What `panther status` knows of a run, and how it looks. Pure.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace panther::launcher {

/// One bucket of the exchange in the last step that was reported; seconds, negative where there is no such figure.
struct BucketView {
  std::string codec;
  std::int64_t elements = 0, bytes_predicted = 0, bytes_counted = 0;
  double encode_seconds = 0, collective_seconds = 0, decode_seconds = 0, exposed_seconds = 0;
  double residual_ratio = -1, relative_error = -1, effective_rank = -1;
};

/// Steps with a value, in their order; nan where it was not finite.
using Curve = std::vector<std::pair<std::int64_t, double>>;

/// status.json of a run folder (docs/operating.md). Times are seconds since 1970; nan where a figure was not finite.
struct RunView {
  std::string state, host, backend, exchange, unit;
  std::int64_t pid = 0, step = 0, steps = 0, ranks = 0, bytes_sent = 0, bytes_inside = 0, bytes_dense_f32 = 0, memory_bytes = 0,
               skipped = 0;
  double started = 0, updated = 0;
  double loss = 0, learning_rate = 0, gradient_norm = 0, tokens_per_second = 0, eta_seconds = -1;
  std::vector<std::pair<std::string, double>> step_seconds;  ///< parts of the step in their order
  std::int64_t checkpoint_step = -1;
  double checkpoint_time = 0;
  Curve validation;
  Curve losses;  ///< of training, from the end of metrics.jsonl; not in status.json
  std::vector<BucketView> buckets;
  std::int64_t plan_step = -1;
  std::vector<std::string> plan;
};

/// Throws Corrupt naming `where` when the text is not what a run writes, Unsupported for a newer version.
RunView parse_status(std::string_view text, std::string_view where);
/// The keys of status.json for a run that has none, as far as they are known.
std::string view_json(const RunView& run, const std::string& folder, const std::string& now);

/// Whether the process that wrote it lives: nobody can tell on another host.
enum class Life { alive, gone, elsewhere };

/// What stands beside status.json.
struct Beside {
  std::string folder;
  Life life = Life::alive;
  std::string why;   ///< what a failed run left in error.json, or empty
  std::string logs;  ///< where the ranks' output is, or empty
};

struct StatusLook {
  std::size_t columns = 80;
  std::size_t rows = 0;  ///< of the screen; 0: no end
  bool utf8 = false;
  bool colour = false;
  bool all_buckets = false;
  double now = 0;
};

/// "running", "finished", "stopped", or what must be said of a run whose last words are old: "died", "silent"; "unknown" without a
/// status.json.
std::string state_of(const RunView& run, Life life, double now);
/// One screen of lines, none wider than the look's columns, which are 24 or more.
std::string status_text(const RunView& run, const Beside& beside, const StatusLook& look);
/// Values as a line of eight heights (digits without UTF-8), at most `width` of them: the last value of each of equal pieces; '?' where it
/// is not finite.
std::string sparkline(const std::vector<double>& values, std::size_t width, bool utf8);

}  // namespace panther::launcher
