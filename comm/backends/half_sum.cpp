#include "comm/backends/half_sum.h"

#include <array>
#include <vector>

#include "kernels/allocator.h"
#include "kernels/kernel_set.h"

namespace panther::comm {
namespace {

/// packed_sum takes at most this many tensors.
constexpr int kMaxSources = 64;
/// Chunks begin at multiples of 16 bytes.
constexpr std::int64_t kAlign = 8;

}  // namespace

/// A block that grows. It is released and taken in the order of one stream.
struct HalfSum::Memory {
  void* data = nullptr;
  std::size_t bytes = 0;
};

HalfSum::HalfSum(Device device)
    : device_(device), padded_(std::make_unique<Memory>()), received_(std::make_unique<Memory>()), wide_(std::make_unique<Memory>()) {}

HalfSum::~HalfSum() {
  for (const Memory* memory : {padded_.get(), received_.get(), wide_.get()}) {
    if (memory->data != nullptr) plain_allocator().release(memory->data, device_, {});
  }
}

TensorView HalfSum::place(Memory& memory, DType dtype, std::int64_t count, Stream stream) {
  const std::size_t bytes = static_cast<std::size_t>(count) * size_of(dtype);
  if (bytes > memory.bytes) {
    if (memory.data != nullptr) plain_allocator().release(memory.data, device_, stream);
    memory = {};
    memory.data = plain_allocator().allocate(bytes, device_, stream);
    memory.bytes = bytes;
  }
  return TensorView(memory.data, dtype, {count}, device_);
}

void HalfSum::sum_chunks(const TensorView& chunks, int ranks, const TensorView& output, Stream stream) {
  const KernelSet& kernels = kernels_for(device_.kind);
  const std::int64_t count = output.numel();
  std::vector<TensorView> sources;
  for (int r = 0; r < ranks; ++r) sources.push_back(chunks.slice(r * count, count));
  if (ranks <= kMaxSources) return kernels.packed_sum(sources, output, stream);
  // Partial sums in f32: the result is still rounded to 16 bits once.
  const TensorView wide = place(*wide_, DType::f32, 2 * count, stream);
  const TensorView total = wide.slice(0, count);
  const TensorView term = wide.slice(count, count);
  kernels.cast(sources.front(), total, stream);
  for (int r = 1; r < ranks; ++r) {
    kernels.cast(sources[static_cast<std::size_t>(r)], term, stream);
    const std::array both{total, term};
    kernels.packed_sum(both, total, stream);
  }
  kernels.cast(total, output, stream);
}

void HalfSum::all_reduce(Collective& group, const TensorView& buffer, Stream stream, Deadline deadline) {
  const std::int64_t count = buffer.numel();
  const int ranks = group.size();
  if (count == 0) return;
  const KernelSet& kernels = kernels_for(device_.kind);
  const std::int64_t chunk = ((count + ranks - 1) / ranks + kAlign - 1) / kAlign * kAlign;
  const bool fits = chunk * ranks == count;
  // The padding is summed too but read by nobody.
  const TensorView whole = fits ? buffer.flattened() : place(*padded_, buffer.dtype, chunk * ranks, stream);
  if (!fits) kernels.cast(buffer.flattened(), whole.slice(0, count), stream);
  const TensorView received = place(*received_, buffer.dtype, chunk * ranks, stream);
  group.all_to_all(whole, received, stream, deadline);
  const TensorView mine = whole.slice(group.rank() * chunk, chunk);
  sum_chunks(received, ranks, mine, stream);
  group.all_gather(mine, whole, stream, deadline);
  if (!fits) kernels.cast(whole.slice(0, count), buffer.flattened(), stream);
}

void HalfSum::reduce_scatter(Collective& group, const TensorView& input, const TensorView& output, Stream stream, Deadline deadline) {
  if (output.numel() == 0) return;
  const TensorView received = place(*received_, input.dtype, input.numel(), stream);
  group.all_to_all(input.flattened(), received, stream, deadline);
  sum_chunks(received, group.size(), output.flattened(), stream);
}

}  // namespace panther::comm
