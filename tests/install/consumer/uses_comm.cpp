// A program of somebody else's: three ranks as threads sum rank-coded values.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <vector>

#include "comm/group.h"

int main() {
  std::atomic<int> wrong{0};
  panther::comm::run_ranks_as_threads(3, [&](panther::comm::Collective& group) {
    std::vector<float> values(1000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((group.rank() + 1) * 1000 + static_cast<int>(i));
    const panther::TensorView view(values.data(), panther::DType::f32, {static_cast<std::int64_t>(values.size())});
    const auto deadline = panther::comm::Deadline::after(std::chrono::seconds(30));
    group.all_reduce(view, panther::comm::ReduceOp::sum, {}, deadline).wait(deadline);
    for (std::size_t i = 0; i < values.size(); ++i) wrong += values[i] != static_cast<float>(6000 + 3 * i);
  });
  std::printf("%d wrong values\n", wrong.load());
  return wrong.load() == 0 ? 0 : 1;
}
