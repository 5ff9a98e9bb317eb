#include "launcher/cli/command_line.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "core/error.h"

namespace panther::launcher {

const std::vector<Subcommand>& subcommands() {
  static const std::vector<Subcommand> kList{
      {"train", "CONFIG.toml [--nproc N] [--set KEY=VALUE]... [--resume auto|PATH] [--dry-run]", "train a model", "panther-worker"},
      {"launch", "[--nproc N] [--] PROGRAM [ARGUMENTS]...", "start ranks of your own program", nullptr},
      {"generate", "CHECKPOINT [--prompt TEXT] [--tokens N] [--temperature T] [--top-k K] [--seed S] [--average]", "continue a text", "panther-worker"},
      {"evaluate", "CHECKPOINT [--data PATH] [--batches N] [--average] [--json]", "loss of a checkpoint on the validation data", "panther-worker"},
      {"average", "CHECKPOINT... -o FOLDER [--last N]", "the mean of several checkpoints as a new one", "panther-worker"},
      {"inspect", "CHECKPOINT", "tensors, sketch specs and sizes of a checkpoint", "panther-worker"},
      {"status", "[RUN] [--watch [SECONDS]] [--buckets] [--json]", "how a run is doing: step, loss, speed, exchange by buckets", nullptr},
      {"doctor", "", "what works on this machine, and the remedy for what does not", "panther-worker"},
      {"schema", "", "the configuration's schema as JSON", "panther-worker"},
      {"linalg", "qr|svd|lstsq|id|cur|nystrom|sketch IN [IN2] -o OUT [--rank K] [--tol T] [--check] [--plot FILE.svg]",
       "decompose a matrix of a .npy or .safetensors file", "panther-linalg"},
      {"bench", "kernels [--quick] [--plot DIR] [--json]", "how fast the kernels are on this machine, beside its limits",
       "panther-bench"},
      {"help", "[COMMAND]", "this text, or a command's options", nullptr},
      {"version", "", "version of this program", nullptr}};
  return kList;
}

namespace {

constexpr int kMostRanks = 1024;
constexpr std::string_view kNproc = "--nproc";

int parse_ranks(std::string_view text) {
  int ranks = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ranks);
  PANTHER_REQUIRE(error == std::errc() && end == text.data() + text.size() && ranks >= 1 && ranks <= kMostRanks, "--nproc '", text,
                  "' is not a whole number from 1 to ", kMostRanks, "; it is the number of ranks to start on this machine");
  return ranks;
}

/// --nproc N or --nproc=N at words[at]: its value, with `at` behind it; nothing where another word stands.
std::optional<int> read_ranks(const std::vector<std::string>& words, std::size_t& at) {
  const std::string_view word = words[at];
  if (word == kNproc) {
    PANTHER_REQUIRE(at + 1 < words.size(), "--nproc needs a value: the number of ranks to start on this machine");
    at += 2;
    return parse_ranks(words[at - 1]);
  }
  if (!word.starts_with(kNproc) || !word.substr(kNproc.size()).starts_with('=')) return {};
  ++at;
  return parse_ranks(word.substr(kNproc.size() + 1));
}

bool asks_for_help(std::string_view word) { return word == "-h" || word == "--help"; }

/// `launch`: options end at "--" or at the first word that is none.
void split_launch(CommandLine& line) {
  std::size_t begin = 0;
  while (begin < line.words.size() && line.words[begin].starts_with("-") && line.words[begin] != "--") {
    const std::string& word = line.words[begin];
    if (asks_for_help(word)) {
      line = {.subcommand = "help", .bare = false, .nproc = {}, .words = {"launch"}};
      return;
    }
    if (const std::optional<int> ranks = read_ranks(line.words, begin)) {
      line.nproc = ranks;
    } else {
      fail(ErrorCode::InvalidArgument, "unknown option ", word,
           " of `panther launch`; it knows --nproc N. Options of the program stand after it");
    }
  }
  if (begin < line.words.size() && line.words[begin] == "--") ++begin;
  line.words.erase(line.words.begin(), line.words.begin() + static_cast<std::ptrdiff_t>(begin));
  PANTHER_REQUIRE(!line.words.empty(), "which program? panther launch [--nproc N] [--] PROGRAM [ARGUMENTS]...");
  if (!line.nproc) line.nproc = 1;
}

/// Takes every --nproc N and --nproc=N out of `words`; the last one counts. The value of another option stays what it is.
std::optional<int> take_ranks(std::vector<std::string>& words) {
  std::optional<int> ranks;
  std::vector<std::string> rest;
  for (std::size_t i = 0; i < words.size();) {
    if (const std::optional<int> read = read_ranks(words, i)) {
      ranks = read;
      continue;
    }
    const bool takes_value = words[i] == "--set" || words[i] == "--resume";
    rest.push_back(words[i++]);
    if (takes_value && i < words.size()) rest.push_back(words[i++]);
  }
  words = std::move(rest);
  return ranks;
}

bool has_any(const std::vector<std::string>& words, std::initializer_list<std::string_view> wanted) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return std::find(wanted.begin(), wanted.end(), word) != wanted.end(); });
}

[[noreturn]] void fail_unknown(const std::string& name) {
  std::vector<std::string> names;
  for (const Subcommand& known : subcommands()) names.emplace_back(known.name);
  const std::string near = nearest(name, names);
  fail(ErrorCode::InvalidArgument, "unknown command '", name, "'", near.empty() ? "." : concat("; did you mean '", near, "'?"),
       " Known: ", join(names), ". `panther help` says what they do");
}

}  // namespace

const Subcommand& find_subcommand(const std::string& name) {
  const auto& known = subcommands();
  const auto found = std::find_if(known.begin(), known.end(), [&](const Subcommand& each) { return each.name == name; });
  if (found == known.end()) fail_unknown(name);
  return *found;
}

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine line;
  if (arguments.empty()) return {.subcommand = "help", .bare = true, .nproc = {}, .words = {}};
  line.subcommand = arguments.front();
  line.words.assign(arguments.begin() + 1, arguments.end());
  if (line.subcommand == "-h" || line.subcommand == "--help") line.subcommand = "help";
  if (line.subcommand == "--version" || line.subcommand == "-V") line.subcommand = "version";
  find_subcommand(line.subcommand);
  if (line.subcommand == "help") std::erase_if(line.words, asks_for_help);
  if (line.subcommand == "launch") {
    split_launch(line);
    return line;
  }
  if (line.subcommand != "train") {
    for (const std::string& word : line.words)
      PANTHER_REQUIRE(!word.starts_with(kNproc), "--nproc belongs to `panther train` and `panther launch`; `panther ", line.subcommand,
                      "` is one process");
    return line;
  }
  std::vector<std::string> rest = line.words;
  const std::optional<int> ranks = take_ranks(rest);
  if (ranks && !has_any(rest, {"--dry-run", "--help", "-h", "--keys"})) {
    line.nproc = ranks;
    line.words = std::move(rest);
  }
  return line;
}

}  // namespace panther::launcher
