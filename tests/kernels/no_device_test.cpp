// What a machine without a usable GPU is told. Where there is one, these skip.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "core/error.h"
#include "kernels/allocator.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/kernel_set.h"

namespace panther {
namespace {

class NoDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_kernels() != nullptr) GTEST_SKIP() << "this machine has a CUDA device";
  }
};

template <class Call>
void expect_unsupported(Call&& call) {
  try {
    call();
    FAIL() << "no error without a device";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported) << error.what();
    EXPECT_NE(error.message().find(why_no_cuda()), std::string::npos) << error.what();
  }
}

TEST_F(NoDevice, KernelsSayWhyAndWhatToDo) {
  EXPECT_GT(std::strlen(why_no_cuda()), 10u);
  const std::string why = why_no_cuda();
  EXPECT_TRUE(why.find("install driver") != std::string::npos || why.find("PANTHER_WITH_CUDA") != std::string::npos || why.find("nvidia-smi") != std::string::npos) << why;
  expect_unsupported([] { kernels_for(DeviceKind::cuda); });
  EXPECT_EQ(&kernels_for(DeviceKind::cpu), &cpu_kernels());
}

TEST_F(NoDevice, DeviceCallsAreUnsupportedNotFaults) {
  EXPECT_EQ(device_count(), 0);
  expect_unsupported([] { set_device(0); });
  expect_unsupported([] { create_stream(); });
  expect_unsupported([] { create_event(); });
  expect_unsupported([] { device_memory(0); });
  expect_unsupported([] { pinned_allocate(64); });
  expect_unsupported([] { plain_allocator().allocate(64, {DeviceKind::cuda, 0}, {}); });
  destroy_stream({});
  destroy_event({});
}

TEST(PlainAllocator, AlignsAndReportsWhatItCannotGive) {
  Workspace one(plain_allocator(), 1000, {}, {}), none(plain_allocator(), 0, {}, {});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(one.data()) % 256, 0u);
  EXPECT_EQ(one.bytes(), 1000u);
  EXPECT_EQ(none.data(), nullptr);
  try {
    plain_allocator().allocate(SIZE_MAX - 100, {}, {});
    FAIL() << "all of the address space was allocated";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
  }
}

}  // namespace
}  // namespace panther
