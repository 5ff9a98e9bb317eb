// The Python package reads our files, and we read what it writes.
#include <cstdio>

#include "tests/runtime/checkpoint_fixture.h"

namespace panther::runtime::testing {
namespace {

struct Output {
  int status = 0;
  std::string text;
};

Output run_python(const fs::path& scratch, const std::string& program) {
  overwrite(scratch / "program.py", program);
  const std::string command = concat("'", PANTHER_TEST_PYTHON, "' '", (scratch / "program.py").string(), "' 2>&1");
  FILE* pipe = ::popen(command.c_str(), "r");
  Output out;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) out.text.append(buffer, count);
  out.status = ::pclose(pipe);
  return out;
}

bool python_has_safetensors(const fs::path& scratch) { return run_python(scratch, "import safetensors, numpy").status == 0; }

TEST(CheckpointPython, OpensAModelOfOurs) {
  const ScratchFolder scratch;
  if (!python_has_safetensors(scratch.path())) GTEST_SKIP() << "no Python with safetensors at " << PANTHER_TEST_PYTHON;
  CheckpointWriter(scratch.path(), {}).save(sample_state(3));
  const fs::path file = scratch.path() / "step_3" / "model.safetensors";
  const Output out = run_python(scratch.path(), concat(R"py(
from safetensors import deserialize
for name, t in deserialize(open(")py", file.string(), R"py(", "rb").read()):
    print(name, t["dtype"].lower(), list(t["shape"]), bytes(t["data"]).hex())
)py"));
  ASSERT_EQ(out.status, 0) << out.text;
  const auto line_of = [&](const std::string& name) {
    const auto begin = out.text.find(name + " ");
    EXPECT_NE(begin, std::string::npos) << name;
    return out.text.substr(begin, out.text.find('\n', begin) - begin);
  };
  for (const auto& [name, tensor] : sample_state(3).model) {
    const at::Tensor host = tensor.contiguous();
    std::string hex;
    for (std::size_t i = 0; i < host.nbytes(); ++i) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", static_cast<const unsigned char*>(host.const_data_ptr())[i]);
      hex += digits;
    }
    EXPECT_THAT(line_of(name), ::testing::EndsWith(concat(" [", join(host.sizes()), "] ", hex)));
  }
  EXPECT_THAT(line_of("norm.bf16"), ::testing::HasSubstr("bf16"));
}

TEST(CheckpointPython, WritesWhatWeRead) {
  const ScratchFolder scratch;
  if (!python_has_safetensors(scratch.path())) GTEST_SKIP() << "no Python with safetensors at " << PANTHER_TEST_PYTHON;
  const fs::path file = scratch.path() / "theirs.safetensors";
  const Output out = run_python(scratch.path(), concat(R"py(
import numpy as np
from safetensors.numpy import save_file
save_file({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7, dtype=np.int64), "c": np.zeros((0, 2), np.float16),
           "d": np.array([1, 255], np.uint8), "e": np.array([0.5], np.float64)}, ")py", file.string(), "\")\n"));
  ASSERT_EQ(out.status, 0) << out.text;
  const auto read = read_tensors(file);
  ASSERT_EQ(read.size(), 5u);
  EXPECT_TRUE(at::equal(read.at("a"), at::arange(6, at::kFloat).reshape({2, 3})));
  EXPECT_TRUE(at::equal(read.at("b"), at::full({}, 7, at::kLong)));
  EXPECT_EQ(read.at("c").sizes(), (std::vector<std::int64_t>{0, 2}));
  EXPECT_TRUE(at::equal(read.at("d"), at::tensor({1, 255}, at::kInt).to(at::kByte)));
  EXPECT_EQ(read.at("e").item<double>(), 0.5);
}

}  // namespace
}  // namespace panther::runtime::testing
