#include "comm/gather_integers.h"

#include "kernels/allocator.h"
#include "kernels/cuda/device_memory.h"

namespace panther::comm {

std::vector<std::int64_t> gather_integers(Collective& collective, std::span<const std::int64_t> values, Stream stream, Deadline deadline) {
  const auto count = static_cast<std::int64_t>(values.size());
  const std::int64_t ranks = collective.size();
  std::vector<std::int64_t> mine(values.begin(), values.end());
  std::vector<std::int64_t> all(values.size() * static_cast<std::size_t>(ranks));
  if (collective.device() == DeviceKind::cpu) {
    const TensorView output(all.data(), DType::i64, {ranks * count});
    collective.all_gather(TensorView(mine.data(), DType::i64, {count}), output, stream, deadline).wait(deadline);
    return all;
  }
  const Device device{DeviceKind::cuda, current_device()};
  const std::size_t bytes = mine.size() * sizeof(std::int64_t);
  const Workspace input_memory(plain_allocator(), bytes, device, stream);
  const Workspace output_memory(plain_allocator(), bytes * static_cast<std::size_t>(ranks), device, stream);
  copy_async(input_memory.data(), mine.data(), bytes, stream);
  const TensorView output(output_memory.data(), DType::i64, {ranks * count}, device);
  collective.all_gather(TensorView(input_memory.data(), DType::i64, {count}, device), output, stream, deadline).wait(deadline);
  copy_async(all.data(), output_memory.data(), all.size() * sizeof(std::int64_t), stream);
  stream_synchronize(stream);
  return all;
}

}  // namespace panther::comm
