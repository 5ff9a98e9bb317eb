#pragma once
// Text on disk as two byte strings, one to train on and one held out. No torch here.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/config_file.h"
#include "runtime/export.h"

namespace panther::runtime {

struct TextOptions {
  std::string path;            ///< file or folder
  std::string extensions;      ///< comma-separated suffixes, "" = all
  double val_fraction = 0.1;
  std::int64_t min_bytes = 2;  ///< smallest part that is of use: seq_len + 1
};

struct TextPart {
  std::shared_ptr<const void> owner;  ///< keeps `bytes` alive
  std::span<const char> bytes;
  std::int64_t files = 0;
};

struct TextCorpus {
  TextPart train;
  TextPart validation;                ///< empty when val_fraction is 0
  std::int64_t binary_files = 0;      ///< left out
  bool split_by_position = false;     ///< the last val_fraction of the bytes is held out
};

/// Reads `options.path`. A folder is walked recursively in the order of relative paths; hidden entries, empty files and binary files are
/// left out; files are joined with one newline between them. A file is held out when the hash of its relative path says so, whatever the
/// machine or the seed; where that leaves a part below min_bytes, and for a single file, the split is by position.
/// Throws InvalidArgument with the place of data.path: missing, empty, binary, too little text for a sequence; Io when unreadable.
PANTHER_RUNTIME_API TextCorpus read_text_corpus(const TextOptions& options, const ConfigOrigin& origin);

/// Why the first 8 KiB of a file do not look like text ("a NUL byte at offset 12"), or "" when they do. Pure.
PANTHER_RUNTIME_API std::string why_binary(std::string_view head);

}  // namespace panther::runtime
