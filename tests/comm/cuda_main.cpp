// For test programs that run on the CPU too: here their gradients lie on the GPU.
#include <gtest/gtest.h>

#include <cstdio>

#include "kernels/kernel_set.h"
#include "tests/comm/test_device.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!GTEST_FLAG_GET(list_tests) && panther::device_count() == 0) {
    std::printf("[  SKIPPED ] %s\n", panther::why_no_cuda());
    return 0;
  }
  panther::comm::testing::test_device() = {panther::DeviceKind::cuda, 0};
  return RUN_ALL_TESTS();
}
