// Streams, events and pinned memory on a real device.
#include "kernels/cuda/device_memory.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/allocator.h"
#include "kernels/kernel_set.h"
#include "tests/kernels/array.h"

namespace panther {
namespace {

class DeviceMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_kernels() == nullptr) GTEST_SKIP() << why_no_cuda();
  }
};

TEST_F(DeviceMemoryTest, NamesTheDevice) {
  ASSERT_GE(device_count(), 1);
  set_device(0);
  EXPECT_EQ(current_device(), 0);
  EXPECT_FALSE(device_name(0).empty());
  EXPECT_NE(device_capability(0).find('.'), std::string::npos);
  const DeviceMemory memory = device_memory(0);
  EXPECT_GT(memory.free_bytes, 0u);
  EXPECT_LE(memory.free_bytes, memory.total_bytes);
}

// Work on one stream, a copy back on another that waits for it: the values must be those after the work.
TEST_F(DeviceMemoryTest, EventsOrderStreams) {
  constexpr std::int64_t count = 1 << 22;
  constexpr std::size_t bytes = count * sizeof(float);
  auto* host = static_cast<float*>(pinned_allocate(bytes));
  for (std::int64_t i = 0; i < count; ++i) host[i] = static_cast<float>(i % 1000);
  const Device device{DeviceKind::cuda, 0};
  const Stream work = create_stream(), copy = create_stream();
  const Event ready = create_event(), begin = create_event(true), end = create_event(true);
  Workspace memory(plain_allocator(), bytes, device, work);
  TensorView view(memory.data(), DType::f32, {count}, device);
  record_event(begin, work);
  copy_async(memory.data(), host, bytes, work);
  for (int i = 0; i < 20; ++i) cuda_kernels()->scale(2.0, view, work);
  record_event(ready, work);
  record_event(end, work);
  stream_wait_event(copy, ready);
  copy_async(host, memory.data(), bytes, copy);
  stream_synchronize(copy);
  EXPECT_TRUE(event_done(ready));
  for (std::int64_t i = 0; i < count; i += 997) ASSERT_EQ(host[i], static_cast<float>(i % 1000) * 1048576.0f);
  event_synchronize(end);
  EXPECT_GT(elapsed_seconds(begin, end), 0.0);
  fill_zero_async(memory.data(), bytes, copy);
  copy_async(host, memory.data(), bytes, copy);
  stream_synchronize(copy);
  EXPECT_EQ(host[count - 1], 0.0f);
  for (const Event event : {ready, begin, end}) destroy_event(event);
  destroy_stream(work);
  destroy_stream(copy);
  pinned_release(host);
}

// More streams than there are slots for partial sums, several in flight at a time.
TEST_F(DeviceMemoryTest, SumsOnManyStreamsDoNotMix) {
  constexpr int streams = 200;
  const Device device{DeviceKind::cuda, 0};
  Workspace memory(plain_allocator(), streams * 70000 * sizeof(float), device, {}), sums(plain_allocator(), streams * sizeof(double), device, {});
  std::vector<float> values(streams * 70000);
  for (int s = 0; s < streams; ++s) std::fill_n(values.begin() + s * 70000, 70000, static_cast<float>(s + 1));
  copy_async(memory.data(), values.data(), values.size() * sizeof(float), {});
  device_synchronize();
  std::vector<Stream> opened;
  for (int s = 0; s < streams; ++s) {
    opened.push_back(create_stream());
    const TensorView part(static_cast<float*>(memory.data()) + s * 70000, DType::f32, {70000}, device);
    cuda_kernels()->sum_of_squares(std::vector<TensorView>{part}, TensorView(static_cast<double*>(sums.data()) + s, DType::f64, {1}, device), opened.back());
  }
  device_synchronize();
  std::vector<double> results(streams);
  copy_async(results.data(), sums.data(), streams * sizeof(double), {});
  device_synchronize();
  for (int s = 0; s < streams; ++s) EXPECT_EQ(results[static_cast<std::size_t>(s)], 70000.0 * (s + 1) * (s + 1));
  for (const Stream stream : opened) destroy_stream(stream);
}

TEST_F(DeviceMemoryTest, TooMuchIsOutOfMemoryAndTheDeviceLivesOn) {
  try {
    plain_allocator().allocate(std::size_t{1} << 50, {DeviceKind::cuda, 0}, {});
    FAIL() << "a pebibyte was allocated";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::OutOfMemory) << error.what();
  }
  Workspace small(plain_allocator(), 64, {DeviceKind::cuda, 0}, {});
  EXPECT_NE(small.data(), nullptr);
  device_synchronize();
}

}  // namespace
}  // namespace panther
