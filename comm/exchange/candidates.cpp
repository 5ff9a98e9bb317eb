#include "comm/exchange/candidates.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace panther::comm {
namespace {

/// What stands between separators.
std::vector<std::string> parts_of(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) parts.emplace_back();
    else parts.back() += c;
  }
  return parts;
}

std::int64_t number_in(const std::string& name, const std::string& part, std::int64_t least, std::int64_t most) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  PANTHER_REQUIRE(error == std::errc() && end == part.data() + part.size() && value >= least && value <= most, "the number in the codec '", name,
                  "' must lie between ", least, " and ", most);
  return value;
}

}  // namespace

Candidate candidate_of(const std::string& name, const CodecSettings& settings) {
  Candidate candidate{name, name, settings};
  const std::vector<std::string> parts = parts_of(name, '-');
  if (parts.size() == 2 && parts[0] == "quantize") {
    candidate.codec = parts[0];
    candidate.settings.bits = number_in(name, parts[1], 1, 8);
  } else if ((parts.size() == 2 || (parts.size() == 3 && parts[2] == "alternating")) && parts[0] == "powersgd") {
    candidate.codec = parts[0];
    candidate.settings.rank = number_in(name, parts[1], 1, 1024);
    candidate.settings.alternating = parts.size() == 3;
  }
  static_cast<void>(codec_registry().at(candidate.codec));  // says which names there are
  return candidate;
}

std::vector<Candidate> candidates_of(const AutoSettings& automatic, const CodecSettings& settings) {
  std::string pinned = automatic.plan;
  std::erase(pinned, ' ');
  std::vector<Candidate> candidates;
  for (const std::string& name : automatic.plan.empty() ? automatic.candidates : parts_of(pinned, ',')) candidates.push_back(candidate_of(name, settings));
  PANTHER_REQUIRE(!automatic.plan.empty() || place_of_half(candidates) < candidates.size(), "the candidates must hold half: it is within every error budget");
  return candidates;
}

std::size_t place_of_half(const std::vector<Candidate>& candidates) {
  return static_cast<std::size_t>(std::find_if(candidates.begin(), candidates.end(), [](const Candidate& candidate) { return candidate.codec == "half"; }) - candidates.begin());
}

double expected_residual(const Candidate& candidate) {
  // Squared relative errors of the nearest level on normal values, by bits.
  constexpr std::array<double, 8> kQuantized{0.363, 0.190, 0.0469, 0.0129, 0.0037, 0.0011, 3.1e-4, 8.8e-5};
  constexpr double kInverseSquares = 1.6449340668482264;  // sum of 1 / j^2
  double squared = 0;
  if (candidate.codec == "quantize") {
    squared = kQuantized[static_cast<std::size_t>(candidate.settings.bits - 1)];
  } else if (candidate.codec == "sign") {
    squared = kQuantized[0];
  } else if (candidate.codec == "powersgd") {
    double kept = 0;
    for (std::int64_t j = 1; j <= candidate.settings.rank; ++j) kept += 1 / static_cast<double>(j * j);
    squared = 1 - kept / kInverseSquares;
  } else if (candidate.codec == "top_k" || candidate.codec == "random_k" || candidate.codec == "srht" || candidate.codec == "count_sketch") {
    squared = 1 - candidate.settings.density;
  }
  const double error = std::sqrt(squared);
  return error / (1 - error);
}

}  // namespace panther::comm
