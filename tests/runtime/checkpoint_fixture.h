#pragma once
// A training state with every dtype and odd shapes.
#include <filesystem>
#include <fstream>
#include <string>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/scratch_folder.h"
#include "core/text.h"
#include "runtime/checkpoint/checkpoint.h"

namespace panther::runtime::testing {

namespace fs = std::filesystem;

/// Values depend on step and name only. `rows` scales the file sizes: the model takes about 4 * 33 * rows bytes.
inline TrainingState sample_state(std::int64_t step, std::int64_t rows = 5) {
  const auto ramp = [&](at::IntArrayRef shape, double scale) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    return (at::arange(count, at::kDouble) * scale + static_cast<double>(step)).reshape(shape);
  };
  TrainingState state;
  state.step = step;
  state.position = step * 8;
  state.optimizer_steps = step - 1;
  state.nonfinite_skipped = 1;
  state.seed = 0xfedcba9876543210ull;
  state.config_toml = concat("[train]\nsteps = ", step, "\n");
  state.config_hash = 0x8000000000000001ull;
  state.model = {{"blocks.0.s1", ramp({rows, 33}, 0.25).to(at::kFloat)},
                 {"blocks.0.transposed", ramp({3, 7}, 1.0).to(at::kFloat).t()},
                 {"norm.bf16", ramp({rows}, 1.5).to(at::kBFloat16)},
                 {"norm.half", ramp({3}, 0.5).to(at::kHalf)},
                 {"scalar", ramp({}, 1.0)},
                 {"empty", at::empty({0, 4})},
                 {"mask", at::ones({3}, at::kByte)}};
  state.optimizer = {{"blocks.0.s1.m", ramp({rows, 33}, -0.5).to(at::kFloat)}, {"count", at::full({2}, step, at::kLong)}};
  LayerFacts layer;
  layer.path = "blocks.0";
  layer.kind = "linear.sketched";
  layer.in_features = 33;
  layer.out_features = 40;
  layer.spec = {"sketched", rows, "scratch", 0.1 + 0.2};
  layer.parameters = rows * 33;
  layer.dense_parameters = 33 * 40;
  layer.forward_flops_per_row = 1.0 / 3.0;
  layer.seed_key = 0xffffffffffffffffull;
  state.layers = {layer};
  state.shape = {.vocabulary = 300, .features = 2, .sequence = 64, .regression = true};
  state.model_json = "{\"hidden_size\": 33}\n";
  return state;
}

/// Tensors like those of `state`, zeroed.
inline NamedTensors zeros_like(const NamedTensors& tensors) {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) out.emplace_back(name, at::zeros_like(tensor));
  return out;
}

inline bool same_tensors(const NamedTensors& a, const NamedTensors& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].first != b[i].first || a[i].second.scalar_type() != b[i].second.scalar_type() || !at::equal(a[i].second, b[i].second)) return false;
  return true;
}

inline std::string latest_target(const fs::path& checkpoints) { return fs::read_symlink(checkpoints / "latest").string(); }

inline void overwrite(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The error that `body` throws; fails the test when it throws none.
template <class Body>
Error error_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::Internal, "no error"};
}

}  // namespace panther::runtime::testing
