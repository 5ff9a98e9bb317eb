#include <filesystem>
#include <set>

#include "core/error.h"
#include "runtime/data/dataset.h"
#include "runtime/data/text_corpus.h"
#include "tests/runtime/data/temporary_folder.h"

namespace panther::runtime {
namespace {

using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;

ConfigOrigin origin() {
  ConfigOrigin result;
  result.record("data.path", "train.toml:3:8");
  return result;
}

DataConfig config_for(const std::string& path, std::int64_t seq_len, double val_fraction = 0.1) {
  DataConfig config;
  config.path = path;
  config.seq_len = seq_len;
  config.val_fraction = val_fraction;
  return config;
}

std::string text_of(const TextPart& part) { return {part.bytes.begin(), part.bytes.end()}; }

/// A text whose byte at offset i is a letter that depends on i.
std::string letters(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * i + i / 7) % 26);
  return text;
}

void expect_error(const DataConfig& config, const std::string& part, ErrorCode code = ErrorCode::InvalidArgument) {
  try {
    make_datasets(config, 0, origin());
    ADD_FAILURE() << "no error that says '" << part << "'";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), AllOf(HasSubstr(part), HasSubstr("data.path (train.toml:3:8)")));
  }
}

TEST(Bytes, WindowsAreTheTextAndItsSuccessors) {
  const TemporaryFolder folder;
  const std::string text = letters(1000);
  const Datasets data = make_datasets(config_for(folder.write("a.txt", text), 16), 1, origin());
  // The last tenth is held out: 900 bytes to train on, windows 0 .. 900/16 - 2.
  EXPECT_EQ(data.train->size(), 900 / 16 - 1);
  EXPECT_EQ(data.validation->size(), 99 / 16);
  EXPECT_EQ(data.train->shape().vocabulary, 256);
  EXPECT_EQ(data.train->shape().targets_per_sample(), 16);
  const std::vector<SampleRef> samples = {{0, 3, 70}, {0, 0, 71}};
  const Batch batch = data.train->collate(samples);
  ASSERT_EQ(batch.inputs.sizes(), at::IntArrayRef({2, 16}));
  EXPECT_EQ(batch.inputs.scalar_type(), at::kLong);
  for (std::int64_t t = 0; t < 16; ++t) {
    EXPECT_EQ(batch.inputs[0][t].item<std::int64_t>(), text[static_cast<std::size_t>(48 + t)]);
    EXPECT_EQ(batch.targets[0][t].item<std::int64_t>(), text[static_cast<std::size_t>(49 + t)]);
    EXPECT_EQ(batch.inputs[1][t].item<std::int64_t>(), text[static_cast<std::size_t>(t)]);
  }
  EXPECT_EQ(batch.sample_ids[0].item<std::int64_t>(), 70);
  const std::vector<SampleRef> held_out = {{5, 0, 0}};
  EXPECT_EQ(data.validation->collate(held_out).inputs[0][0].item<std::int64_t>(), text[900]) << "validation windows never shift";
}

TEST(Bytes, LaterEpochsShiftTheWindowsWithinTheText) {
  const TemporaryFolder folder;
  for (const std::size_t size : {17u, 18u, 31u, 32u, 33u, 47u, 48u, 49u, 200u}) {
    const std::string text = letters(size);
    const Datasets data = make_datasets(config_for(folder.write("a.txt", text), 16, 0), 9, origin());
    EXPECT_EQ(data.validation, nullptr);
    std::set<std::int64_t> shifts;
    for (std::int64_t epoch = 0; epoch < 60; ++epoch) {
      const std::vector<SampleRef> ends = {{epoch, 0, 0}, {epoch, data.train->size() - 1, 0}};
      const Batch batch = data.train->collate(ends);
      std::string window;
      for (std::int64_t t = 0; t < 16; ++t) window += static_cast<char>(batch.inputs[0][t].item<std::int64_t>());
      const std::size_t shift = text.find(window);
      ASSERT_NE(shift, std::string::npos);
      if (epoch == 0) {
        EXPECT_EQ(shift, 0u);
      }
      shifts.insert(static_cast<std::int64_t>(shift));
      const std::size_t last = static_cast<std::size_t>(data.train->size() - 1) * 16 + shift + 16;
      ASSERT_LT(last, size);
      EXPECT_EQ(batch.targets[1][15].item<std::int64_t>(), text[last]);
    }
    const auto possible = std::min<std::int64_t>(16, static_cast<std::int64_t>(size) - data.train->size() * 16);
    EXPECT_LE(static_cast<std::int64_t>(shifts.size()), possible);
    EXPECT_EQ(shifts.size() > 1, possible > 1);
  }
}

TEST(TextCorpus, SplitsFilesByTheHashOfTheirRelativePath) {
  const TemporaryFolder one, two;
  for (int i = 0; i < 400; ++i) {
    const std::string name = concat("f", i / 20, "/x", i, ".h");
    one.write(name, concat("<", name, ">"));
    two.write(concat("deeper/", name), concat("<", name, ">"));
  }
  const TextOptions options{.path = one.path().string(), .extensions = "", .val_fraction = 0.1, .min_bytes = 2};
  const TextCorpus corpus = read_text_corpus(options, origin());
  EXPECT_FALSE(corpus.split_by_position);
  EXPECT_EQ(corpus.train.files + corpus.validation.files, 400);
  // Binomial(400, 0.1): 40 with a standard deviation of 6.
  EXPECT_NEAR(static_cast<double>(corpus.validation.files), 40, 24);
  TextOptions moved = options;
  moved.path = (two.path() / "deeper").string() + "/";
  const TextCorpus again = read_text_corpus(moved, origin());
  EXPECT_EQ(text_of(again.train), text_of(corpus.train));
  EXPECT_EQ(text_of(again.validation), text_of(corpus.validation));
  EXPECT_EQ(text_of(corpus.train).substr(0, 11), "<f0/x0.h>\n<") << "sorted, joined by newlines";
  // A file keeps its side when others come.
  const std::string held_out = text_of(corpus.validation);
  one.write("another.h", "another");
  const std::string more = text_of(read_text_corpus(options, origin()).validation);
  EXPECT_TRUE(more == held_out || more == "another\n" + held_out);
}

TEST(TextCorpus, LeavesOutBinaryHiddenEmptyAndUnwantedFiles) {
  const TemporaryFolder folder;
  folder.write("a.txt", "text one");
  folder.write("b.bin", std::string("abc\0def", 7));
  folder.write("c.dat", std::string(200, '\x01') + letters(800));
  folder.write("d.txt", "");
  folder.write(".hidden/e.txt", "hidden");
  folder.write(".f.txt", "hidden");
  folder.write("g.md", "marked");
  TextOptions options{.path = folder.path().string(), .extensions = "", .val_fraction = 0, .min_bytes = 2};
  const TextCorpus all = read_text_corpus(options, origin());
  EXPECT_EQ(text_of(all.train), "text one\nmarked");
  EXPECT_EQ(all.binary_files, 2);
  options.extensions = "txt, .dat";
  const TextCorpus some = read_text_corpus(options, origin());
  EXPECT_EQ(text_of(some.train), "text one");
  EXPECT_EQ(some.binary_files, 1);
}

TEST(TextCorpus, FallsBackToPositionsForFewFiles) {
  const TemporaryFolder folder;
  folder.write("only.txt", letters(1000));
  const TextCorpus corpus = read_text_corpus({.path = folder.path().string(), .extensions = "", .val_fraction = 0.2, .min_bytes = 33}, origin());
  EXPECT_TRUE(corpus.split_by_position);
  EXPECT_EQ(text_of(corpus.train), letters(1000).substr(0, 800));
  EXPECT_EQ(text_of(corpus.validation), letters(1000).substr(800));
  const Datasets data = make_datasets(config_for(folder.path().string(), 32), 0, origin());
  EXPECT_THAT(data.train->summary(), AllOf(HasSubstr("split by position"), HasSubstr("windows of 32")));
}

TEST(TextCorpus, TellsTextFromBinary) {
  EXPECT_EQ(why_binary(""), "");
  EXPECT_EQ(why_binary("caf\xc3\xa9 \t\r\n\f \x1b[1m"), "");
  EXPECT_EQ(why_binary(std::string_view("ab\0c", 4)), "a NUL byte at offset 2");
  EXPECT_THAT(why_binary("\x01\x02\x03 text"), HasSubstr("3 control characters"));
}

TEST(Bytes, ErrorsNameThePlaceAndTheRemedy) {
  const TemporaryFolder folder;
  expect_error(config_for("", 16), "data.path is not set");
  expect_error(config_for((folder.path() / "nowhere").string(), 16), "does not exist");
  expect_error(config_for((folder.write("file", "abc") + "/below"), 16), "does not exist");
  expect_error(config_for(folder.write("empty.txt", ""), 16), "is empty");
  expect_error(config_for("/dev/null", 16), "neither a file nor a folder");
  expect_error(config_for(folder.write("x.bin", std::string("\0\0\0\0", 4)), 16), "binary file (a NUL byte at offset 0)");
  expect_error(config_for(folder.write("short.txt", letters(16)), 16), "one sequence takes 17");
  expect_error(config_for(folder.write("held.txt", letters(100)), 16), "10 are held out for validation");
  expect_error(config_for(folder.write("train.txt", letters(30)), 16, 0.8), "6 are left to train on");
  const TemporaryFolder nothing;
  expect_error(config_for(nothing.path().string(), 16), "has no text");
  nothing.write("a.bin", std::string("\0", 1));
  expect_error(config_for(nothing.path().string(), 16), "1 of them binary");
  DataConfig filtered = config_for(folder.path().string(), 16);
  filtered.extensions = "cpp";
  expect_error(filtered, "in files that end in 'cpp'");
}

TEST(Bytes, UnreadableFilesAreIoErrors) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.write("a.txt", letters(100)), std::filesystem::perms::none);
  expect_error(config_for((folder.path() / "a.txt").string(), 16), "cannot read", ErrorCode::Io);
  expect_error(config_for(folder.path().string(), 16), "a.txt", ErrorCode::Io);
}

TEST(Bytes, ReadsTheHeadersOfTheCompiler) {
  const std::string path = "/usr/include/c++/12";
  if (!std::filesystem::is_directory(path)) GTEST_SKIP() << path << " is not there";
  const Datasets data = make_datasets(config_for(path, 128), 0, origin());
  EXPECT_GT(data.train->size(), 10000);
  EXPECT_GT(data.validation->size(), 500);
  EXPECT_THAT(data.train->summary(), HasSubstr(" files, "));
}

}  // namespace
}  // namespace panther::runtime
