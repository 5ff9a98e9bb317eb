// Every truncation and every flipped bit is found, names its file and offset, and never crashes.
#include <random>

#include "tests/runtime/checkpoint_fixture.h"

namespace panther::runtime::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

class CheckpointDamage : public ::testing::Test {
 protected:
  void SetUp() override {
    CheckpointWriter(scratch_.path(), {}).save(sample_state(6));
    for (const auto& entry : fs::directory_iterator(folder())) files_.push_back(entry.path());
    ASSERT_EQ(files_.size(), 6u);
  }
  fs::path folder() const { return scratch_.path() / "step_6"; }

  void expect_corrupt(const fs::path& damaged, const std::string& what) const {
    try {
      verify_checkpoint(folder());
      FAIL() << damaged << " " << what << " went unnoticed";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Corrupt) << damaged << " " << what << ": " << error.what();
      EXPECT_THAT(error.message(), HasSubstr(damaged.string())) << what;
      EXPECT_THAT(error.message(), AnyOf(HasSubstr("offset"), HasSubstr("is missing"))) << what;
    }
  }

  ScratchFolder scratch_;
  std::vector<fs::path> files_;
};

TEST_F(CheckpointDamage, TruncationAtAnyByte) {
  for (const fs::path& file : files_) {
    const std::string whole = read_file(file);
    const std::size_t stride = std::max<std::size_t>(1, whole.size() / 300);
    for (std::size_t length = 0; length < whole.size(); length += stride) {
      overwrite(file, whole.substr(0, length));
      expect_corrupt(file, concat("cut to ", length));
    }
    overwrite(file, whole + '\n');
    expect_corrupt(file, "with a byte more");
    overwrite(file, whole);
  }
  EXPECT_EQ(verify_checkpoint(folder()).step, 6);
}

TEST_F(CheckpointDamage, AnyFlippedBit) {
  std::mt19937_64 random(6);
  for (const fs::path& file : files_) {
    const std::string whole = read_file(file);
    for (int draw = 0; draw < 400; ++draw) {
      const std::size_t bit = draw < 64 ? static_cast<std::size_t>(draw) : random() % (whole.size() * 8);
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      overwrite(file, damaged);
      expect_corrupt(file, concat("with bit ", bit, " flipped"));
    }
    overwrite(file, whole);
  }
  EXPECT_EQ(verify_checkpoint(folder()).step, 6);
}

TEST_F(CheckpointDamage, MissingFiles) {
  for (const fs::path& file : files_) {
    const std::string whole = read_file(file);
    fs::remove(file);
    expect_corrupt(file, "removed");
    overwrite(file, whole);
  }
}

TEST_F(CheckpointDamage, DamagedTensorFilesNeverCrashTheLoader) {
  const fs::path file = folder() / "model.safetensors";
  const std::string whole = read_file(file);
  const NamedTensors into = zeros_like(sample_state(6).model);
  std::mt19937_64 random(7);
  for (int draw = 0; draw < 600; ++draw) {
    std::string damaged = whole;
    // Mostly in the header: that is where structure can break.
    const std::size_t at = draw % 3 == 0 ? random() % whole.size() : random() % 900;
    damaged[at] = static_cast<char>(random());
    if (draw % 5 == 0) damaged.resize(random() % whole.size());
    overwrite(file, damaged);
    try {
      load_tensors(file, into);
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::Corrupt || error.code() == ErrorCode::InvalidArgument || error.code() == ErrorCode::Unsupported)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace panther::runtime::testing
