#include <algorithm>
#include <iomanip>
#include <map>
#include <sstream>

#include "comm/exchange/exchange.h"
#include "comm/gather_integers.h"
#include "core/error.h"
#include "kernels/philox.h"

namespace panther::comm {
namespace {

std::string hexadecimal(std::int64_t value) {
  std::ostringstream out;
  out << "0x" << std::hex << std::setw(16) << std::setfill('0') << static_cast<std::uint64_t>(value);
  return std::move(out).str();
}

/// The value most ranks have; among equally many, the one of the lowest rank.
std::int64_t majority(const std::vector<std::int64_t>& by_rank) {
  std::map<std::int64_t, int> votes;
  for (const std::int64_t value : by_rank) ++votes[value];
  return *std::max_element(by_rank.begin(), by_rank.end(), [&](std::int64_t a, std::int64_t b) { return votes[a] < votes[b]; });
}

/// "" when all agree, else who differs from whom.
std::string difference(const std::string& what, const std::vector<std::int64_t>& by_rank) {
  const std::int64_t expected = majority(by_rank);
  const auto reference = std::find(by_rank.begin(), by_rank.end(), expected) - by_rank.begin();
  std::vector<std::int64_t> wrong;
  for (std::size_t rank = 0; rank < by_rank.size(); ++rank) {
    if (by_rank[rank] != expected) wrong.push_back(static_cast<std::int64_t>(rank));
  }
  if (wrong.empty()) return {};
  return concat(what, ": rank ", wrong.front(), " has ", hexadecimal(by_rank[static_cast<std::size_t>(wrong.front())]), ", rank ", reference,
                " has ", hexadecimal(expected), wrong.size() > 1 ? concat(" (differing ranks: ", join(wrong), ")") : "");
}

std::vector<std::int64_t> column(const std::vector<std::int64_t>& table, std::size_t index, std::size_t columns) {
  std::vector<std::int64_t> result;
  for (std::size_t i = index; i < table.size(); i += columns) result.push_back(table[i]);
  return result;
}

}  // namespace

void require_equal_digests(Collective& collective, const std::vector<std::pair<std::string, std::uint64_t>>& digests, Deadline deadline) {
  if (collective.size() == 1) return;
  // First what is compared: ranks of different binaries may bring different lists, and a gather needs equal sizes.
  std::uint64_t names = digests.size();
  for (const auto& [name, digest] : digests) names = mix64(names, hash_name(name.data(), name.size()));
  const std::int64_t list[] = {static_cast<std::int64_t>(names)};
  std::vector<std::string> found;
  found.push_back(difference("list of compared things", gather_integers(collective, list, {}, deadline)));
  if (found.front().empty() && !digests.empty()) {
    found.clear();
    std::vector<std::int64_t> values;
    for (const auto& [name, digest] : digests) values.push_back(static_cast<std::int64_t>(digest));
    const std::vector<std::int64_t> table = gather_integers(collective, values, {}, deadline);
    for (std::size_t i = 0; i < digests.size(); ++i) found.push_back(difference(digests[i].first, column(table, i, digests.size())));
  }
  std::erase(found, std::string());
  PANTHER_REQUIRE(found.empty(), "the ranks do not agree on ", join(found, "; "),
                  ". Start every rank with the same binary, configuration, seed and checkpoint");
}

}  // namespace panther::comm
