#include "kernels/cpu/pattern_chunk.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/philox_lanes.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t aligned(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// Sorting walks all places once: not worth it when most stay empty.
bool worth_sorting(std::int64_t entries, std::int64_t minors) { return minors <= 4 * entries; }

struct Raw {
  std::uint32_t* minor;
  std::uint32_t* entry;
  double* magnitude;
  std::uint32_t count = 0;
};

void collect(const SparsePattern& pattern, std::int64_t first, std::int64_t majors, std::int64_t first_minor, std::int64_t minors, Raw& raw) {
  std::int64_t place[kMaxNonzeros], from[kMaxNonzeros], to[kMaxNonzeros];
  double value[kMaxNonzeros];
  std::uint64_t bits[kLanes * kMaxNonzeros];
  const int stride = (pattern.nonzeros + 1) / 2 * 2;
  for (std::int64_t base = 0; base < majors; base += kLanes) {
    const std::int64_t lanes = std::min<std::int64_t>(kLanes, majors - base);
    if (pattern.draw != PatternDraw::listed) pattern_draws(pattern.key, first + base, lanes, pattern.nonzeros, bits);
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const std::uint64_t* own = bits + lane * stride;
      const int count = pattern_entries(pattern, first + base + lane, [own](int t) { return own[t]; }, place, value, from, to);
      for (int e = 0; e < count; ++e) {
        const std::int64_t minor = place[e] - first_minor;
        if (minor < 0 || minor >= minors) continue;
        raw.minor[raw.count] = static_cast<std::uint32_t>(minor);
        raw.entry[raw.count] = static_cast<std::uint32_t>(base + lane) | (value[e] < 0 ? kNegativeEntry : 0u);
        if (raw.magnitude != nullptr) raw.magnitude[raw.count] = value[e] < 0 ? -value[e] : value[e];
        ++raw.count;
      }
    }
  }
}

/// A stable counting sort by minor place.
std::uint32_t sort_entries(const Raw& raw, std::int64_t minors, std::uint32_t* place_end, std::uint32_t* entry, double* magnitude, PatternRun* run) {
  std::fill(place_end, place_end + minors, 0u);
  for (std::uint32_t e = 0; e < raw.count; ++e) ++place_end[raw.minor[e]];
  std::uint32_t total = 0, runs = 0;
  for (std::int64_t m = 0; m < minors; ++m) {
    const std::uint32_t count = place_end[m];
    place_end[m] = total;
    if (count > 0) run[runs++] = {static_cast<std::uint32_t>(m), total, total + count};
    total += count;
  }
  for (std::uint32_t e = 0; e < raw.count; ++e) {
    const std::uint32_t at = place_end[raw.minor[e]]++;
    entry[at] = raw.entry[e];
    if (magnitude != nullptr) magnitude[at] = raw.magnitude[e];
  }
  return runs;
}

}  // namespace

void pattern_draws(SignKey key, std::int64_t first_major, std::int64_t majors, int draws, std::uint64_t* bits) {
  std::uint32_t major[kLanes], block[kLanes], words[4][kLanes];
  const int stride = (draws + 1) / 2 * 2;
  for (int i = 0; i < kLanes; ++i) major[i] = static_cast<std::uint32_t>(first_major + std::min<std::int64_t>(i, majors - 1));
  for (int pair = 0; pair < stride / 2; ++pair) {
    std::fill(block, block + kLanes, static_cast<std::uint32_t>(pair));
    philox_lanes(key, RandomDomain::hashes, major, block, words);
    for (std::int64_t i = 0; i < majors; ++i) {
      bits[i * stride + 2 * pair] = static_cast<std::uint64_t>(words[0][i]) << 32 | words[1][i];
      bits[i * stride + 2 * pair + 1] = static_cast<std::uint64_t>(words[2][i]) << 32 | words[3][i];
    }
  }
}

std::int64_t chunk_bytes(const SparsePattern& pattern, std::int64_t majors, std::int64_t minors) {
  const std::int64_t entries = majors * pattern.nonzeros;
  const std::int64_t magnitudes = pattern.draw == PatternDraw::distinct ? 0 : 2 * aligned(entries * 8);
  return 3 * aligned(entries * 4) + magnitudes + aligned(entries * static_cast<std::int64_t>(sizeof(PatternRun))) +
         (worth_sorting(entries, minors) ? aligned(minors * 4) : 0);
}

PatternChunk make_chunk(const SparsePattern& pattern, std::int64_t first, std::int64_t majors, std::int64_t first_minor, std::int64_t minors,
                        std::byte* memory, bool by_place) {
  const std::int64_t entries = majors * pattern.nonzeros;
  const auto take = [&memory]<class T>(T*, std::int64_t count) {
    T* part = reinterpret_cast<T*>(memory);
    memory += aligned(count * static_cast<std::int64_t>(sizeof(T)));
    return part;
  };
  const bool weighted = pattern.draw != PatternDraw::distinct;
  double* magnitude = weighted ? take(static_cast<double*>(nullptr), entries) : nullptr;
  Raw raw{};
  raw.magnitude = weighted ? take(static_cast<double*>(nullptr), entries) : nullptr;
  raw.minor = take(static_cast<std::uint32_t*>(nullptr), entries);
  raw.entry = take(static_cast<std::uint32_t*>(nullptr), entries);
  std::uint32_t* entry = take(static_cast<std::uint32_t*>(nullptr), entries);
  PatternRun* run = take(static_cast<PatternRun*>(nullptr), entries);
  collect(pattern, first, majors, first_minor, minors, raw);
  PatternChunk chunk{raw.entry, raw.magnitude, run, raw.count, false};
  if (by_place && worth_sorting(entries, minors)) {
    chunk = {entry, magnitude, run, sort_entries(raw, minors, take(static_cast<std::uint32_t*>(nullptr), minors), entry, magnitude, run), true};
  } else {
    for (std::uint32_t e = 0; e < raw.count; ++e) run[e] = {raw.minor[e], e, e + 1};
  }
  return chunk;
}

}  // namespace panther::cpu
