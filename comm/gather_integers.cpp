#include "comm/gather_integers.h"

#include <algorithm>
#include <cstring>

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

std::string first_text(Collective& collective, const std::string& own, Stream stream, Deadline deadline) {
  const std::int64_t size[] = {static_cast<std::int64_t>(own.size())};
  const std::vector<std::int64_t> sizes = gather_integers(collective, size, stream, deadline);
  const auto first = static_cast<std::size_t>(std::find_if(sizes.begin(), sizes.end(), [](std::int64_t bytes) { return bytes > 0; }) - sizes.begin());
  if (first == sizes.size()) return {};
  std::vector<std::int64_t> mine((static_cast<std::size_t>(*std::max_element(sizes.begin(), sizes.end())) + 7) / 8, 0);
  std::memcpy(mine.data(), own.data(), own.size());
  const std::vector<std::int64_t> all = gather_integers(collective, mine, stream, deadline);
  return {reinterpret_cast<const char*>(all.data() + first * mine.size()), static_cast<std::size_t>(sizes[first])};
}

}  // namespace panther::comm
