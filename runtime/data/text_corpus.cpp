#include "runtime/data/text_corpus.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "core/atomic_file.h"
#include "core/error.h"
#include "kernels/philox.h"

namespace panther::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kHeadBytes = 8192;
constexpr double kMaxControlShare = 0.05;

struct TextFile {
  std::string relative;
  std::string content;
  bool held_out = false;
};

[[noreturn]] void reject(const ConfigOrigin& origin, const char* key, const std::string& message) {
  throw Error(ErrorCode::InvalidArgument, message, origin.at(key));
}

std::vector<std::string> suffixes_of(const std::string& list) {
  std::vector<std::string> result;
  std::string word;
  for (const char c : list + ",") {
    if (c != ',' && c != ' ') {
      word += c;
    } else if (!word.empty()) {
      result.push_back(word.front() == '.' ? word : "." + word);
      word.clear();
    }
  }
  return result;
}

bool wanted(const std::string& name, const std::vector<std::string>& suffixes) {
  return suffixes.empty() || std::any_of(suffixes.begin(), suffixes.end(), [&](const std::string& s) { return name.ends_with(s); });
}

std::vector<std::string> list_files(const fs::path& folder, const std::vector<std::string>& suffixes, const ConfigOrigin& origin) {
  std::vector<std::string> files;
  try {
    for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator(); ++entry) {
      const std::string name = entry->path().filename().string();
      if (name.starts_with('.')) {
        if (entry->is_directory()) entry.disable_recursion_pending();
        continue;
      }
      if (entry->is_regular_file() && wanted(name, suffixes)) files.push_back(entry->path().lexically_relative(folder).generic_string());
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorCode::Io, concat("cannot read '", error.path1().string(), "': ", error.code().message(),
                                      ". Give this user permission or point data.path elsewhere."), origin.at("data.path"));
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string read_named(const fs::path& path, const ConfigOrigin& origin) {
  try {
    return read_file(path);
  } catch (const Error& error) {
    throw error.with(origin.at("data.path"));
  }
}

bool hash_holds_out(const std::string& relative, double val_fraction) {
  const std::uint64_t hash = mix64(hash_name(relative.data(), relative.size()), static_cast<std::uint64_t>(RandomDomain::split));
  return static_cast<double>(hash >> 11) * 0x1p-53 < val_fraction;
}

/// Joins the files that `pick` accepts.
template <class Pick>
TextPart join_files(const std::vector<TextFile>& files, Pick pick) {
  auto text = std::make_shared<std::string>();
  TextPart part;
  for (const TextFile& file : files) {
    if (!pick(file)) continue;
    if (part.files++ > 0) *text += '\n';
    *text += file.content;
  }
  part.bytes = *text;
  part.owner = std::move(text);
  return part;
}

std::int64_t length(const TextPart& part) { return static_cast<std::int64_t>(part.bytes.size()); }

void split_by_position(TextCorpus& corpus, const TextPart& whole, double val_fraction) {
  const auto held_out = static_cast<std::size_t>(static_cast<double>(whole.bytes.size()) * val_fraction);
  corpus.train = corpus.validation = whole;
  corpus.train.bytes = whole.bytes.first(whole.bytes.size() - held_out);
  corpus.validation.bytes = whole.bytes.last(held_out);
  corpus.split_by_position = true;
}

void check_sizes(const TextCorpus& corpus, const TextOptions& options, std::int64_t total, const ConfigOrigin& origin) {
  if (total < options.min_bytes) {
    reject(origin, "data.path", concat("'", options.path, "' holds ", total, " bytes of text and one sequence takes ", options.min_bytes,
                                       " (data.seq_len + 1): give more text or lower data.seq_len"));
  }
  if (length(corpus.train) < options.min_bytes) {
    reject(origin, "data.path", concat("of the ", total, " bytes in '", options.path, "' only ", corpus.train.bytes.size(),
                                       " are left to train on and one sequence takes ", options.min_bytes,
                                       " (data.seq_len + 1): give more text, lower data.val_fraction or lower data.seq_len"));
  }
  if (options.val_fraction > 0 && length(corpus.validation) < options.min_bytes) {
    reject(origin, "data.path", concat("of the ", total, " bytes in '", options.path, "' only ", corpus.validation.bytes.size(),
                                       " are held out for validation and one sequence takes ", options.min_bytes,
                                       " (data.seq_len + 1): raise data.val_fraction, lower data.seq_len, give more text, or set "
                                       "data.val_fraction = 0 to train without validation"));
  }
}

/// The file's pages, shared by all ranks of the machine.
TextPart map_file(const fs::path& path, const ConfigOrigin& origin) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat facts {};
  if (fd < 0 || ::fstat(fd, &facts) != 0) {
    const std::string reason = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    throw Error(ErrorCode::Io, concat("cannot read '", path.string(), "': ", reason), origin.at("data.path"));
  }
  const auto size = static_cast<std::size_t>(facts.st_size);
  void* memory = size == 0 ? nullptr : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  ::close(fd);
  if (memory == MAP_FAILED) throw Error(ErrorCode::Io, concat("cannot map '", path.string(), "': ", std::strerror(errno)), origin.at("data.path"));
  TextPart part;
  part.files = 1;
  if (size > 0) {
    part.owner = std::shared_ptr<const void>(memory, [size](const void* pages) { ::munmap(const_cast<void*>(pages), size); });
    part.bytes = {static_cast<const char*>(memory), size};
  }
  return part;
}

TextCorpus read_single(const TextOptions& options, const ConfigOrigin& origin) {
  const TextPart whole = map_file(options.path, origin);
  if (whole.bytes.empty()) reject(origin, "data.path", concat("'", options.path, "' is empty: name a file or folder with text"));
  const std::string binary = why_binary({whole.bytes.data(), std::min(whole.bytes.size(), kHeadBytes)});
  if (!binary.empty()) {
    reject(origin, "data.path", concat("'", options.path, "' is a binary file (", binary, "); data.kind = \"bytes\" reads text"));
  }
  TextCorpus corpus;
  split_by_position(corpus, whole, options.val_fraction);
  check_sizes(corpus, options, length(whole), origin);
  return corpus;
}

TextCorpus read_folder(const TextOptions& options, const ConfigOrigin& origin) {
  const std::vector<std::string> names = list_files(options.path, suffixes_of(options.extensions), origin);
  TextCorpus corpus;
  std::vector<TextFile> files;
  for (const std::string& name : names) {
    std::string content = read_named(fs::path(options.path) / name, origin);
    if (content.empty()) continue;
    if (!why_binary(std::string_view(content).substr(0, kHeadBytes)).empty()) {
      ++corpus.binary_files;
      continue;
    }
    files.push_back({name, std::move(content), hash_holds_out(name, options.val_fraction)});
  }
  if (files.empty()) {
    reject(origin, "data.path", concat("the folder '", options.path, "' has no text",
                                       options.extensions.empty() ? "" : concat(" in files that end in '", options.extensions, "'"), " (",
                                       names.size(), " files looked at, ", corpus.binary_files,
                                       " of them binary): name a folder with text files, or one file"));
  }
  corpus.train = join_files(files, [](const TextFile& file) { return !file.held_out; });
  corpus.validation = join_files(files, [](const TextFile& file) { return file.held_out; });
  std::int64_t total = length(corpus.train) + length(corpus.validation);
  const bool lacking = std::min(length(corpus.train), options.val_fraction > 0 ? length(corpus.validation) : length(corpus.train)) < options.min_bytes;
  if (lacking) {
    const TextPart whole = join_files(files, [](const TextFile&) { return true; });
    total = length(whole);
    split_by_position(corpus, whole, options.val_fraction);
  }
  check_sizes(corpus, options, total, origin);
  return corpus;
}

}  // namespace

std::string why_binary(std::string_view head) {
  const std::size_t nul = head.find('\0');
  if (nul != std::string_view::npos) return concat("a NUL byte at offset ", nul);
  const auto control = std::count_if(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && !(byte >= '\b' && byte <= '\r') && byte != 0x1b) || byte == 0x7f;
  });
  if (static_cast<double>(control) <= kMaxControlShare * static_cast<double>(head.size())) return "";
  return concat(control, " control characters in the first ", head.size(), " bytes");
}

TextCorpus read_text_corpus(const TextOptions& options, const ConfigOrigin& origin) {
  if (options.path.empty()) reject(origin, "data.path", "data.path is not set: name a text file or a folder of text files");
  std::error_code error;
  const fs::file_status status = fs::status(options.path, error);
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory) {
    throw Error(ErrorCode::Io, concat("cannot read '", options.path, "': ", error.message()), origin.at("data.path"));
  }
  if (!fs::exists(status)) {
    reject(origin, "data.path", concat("'", options.path, "' does not exist (current folder: ", fs::current_path(error).string(),
                                       "): name a text file or a folder of text files"));
  }
  if (fs::is_directory(status)) return read_folder(options, origin);
  if (!fs::is_regular_file(status)) reject(origin, "data.path", concat("'", options.path, "' is neither a file nor a folder"));
  return read_single(options, origin);
}

}  // namespace panther::runtime
