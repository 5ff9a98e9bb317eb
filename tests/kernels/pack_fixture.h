#pragma once
// Kernels of gradient compression on the device of a test's parameter, with arrays that stay on the host.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/allocator.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/kernel_set.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::test {

inline std::vector<float> normals(std::int64_t count, unsigned seed, double scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<float> result(static_cast<std::size_t>(count));
  for (float& v : result) v = static_cast<float>(normal(random));
  return result;
}

inline double squared(const std::vector<float>& values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0, std::plus<>(), [](float a, float b) { return static_cast<double>(a) * b; });
}

inline std::vector<float> zeros(std::int64_t count) { return std::vector<float>(static_cast<std::size_t>(count), 0.0f); }

/// With what kernels must not trip over: zeros of both signs, subnormals, large values, ties.
inline std::vector<float> difficult(std::int64_t count, unsigned seed) {
  auto values = normals(count, seed);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 7 == 1) values[i] = 0.0f;
    if (i % 11 == 2) values[i] = -0.0f;
    if (i % 13 == 3) values[i] = 1e-42f;
    if (i % 17 == 4) values[i] = -1e30f;
    if (i % 5 == 0) values[i] = 0.5f;
  }
  return values;
}

inline constexpr std::int64_t kPackSizes[] = {1, 3, 8, 63, 64, 65, 1000, 4096, 5003, 70001};

/// Host arrays where a device can use them. `shift`: 4 bytes behind an address that vectors of elements could take.
class Mirror {
 public:
  explicit Mirror(DeviceKind device, bool shift = false) : device_{device, 0}, shift_(device == DeviceKind::cuda && shift ? 4 : 0) {}
  ~Mirror() {
    for (auto& [host, copy] : copies_) plain_allocator().release(copy.memory, device_, {});
  }
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;

  /// fetch() brings these back.
  template <class T>
  T* operator()(std::vector<T>& values) {
    return static_cast<T*>(pointer(values.data(), values.size() * sizeof(T), sizeof(T) == 8 ? 0 : shift_, true));
  }
  template <class T>
  const T* operator()(const std::vector<T>& values) {
    return static_cast<const T*>(pointer(const_cast<T*>(values.data()), values.size() * sizeof(T), sizeof(T) == 8 ? 0 : shift_, false));
  }
  /// The arrays as the kernels called so far leave them.
  void fetch() {
    if (device_.kind == DeviceKind::cpu) return;
    for (auto& [host, copy] : copies_) {
      if (copy.wanted) copy_async(host, static_cast<std::byte*>(copy.memory) + copy.shift, copy.bytes, {});
    }
    stream_synchronize({});
  }

 private:
  struct Copy {
    void* memory = nullptr;
    std::size_t bytes = 0, shift = 0;
    bool wanted = false;
  };
  void* pointer(void* host, std::size_t bytes, std::size_t shift, bool wanted) {
    if (device_.kind == DeviceKind::cpu || bytes == 0) return host;
    const auto [at, fresh] = copies_.try_emplace(host);
    Copy& copy = at->second;
    if (fresh) {
      copy = {plain_allocator().allocate(bytes + shift, device_, {}), bytes, shift, wanted};
      copy_async(static_cast<std::byte*>(copy.memory) + shift, host, bytes, {});
    }
    copy.wanted = copy.wanted || wanted;
    return static_cast<std::byte*>(copy.memory) + shift;
  }

  Device device_;
  std::size_t shift_;
  std::map<void*, Copy> copies_;
};

class PackContract : public testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    if (GetParam() == DeviceKind::cuda && cuda_kernels() == nullptr) GTEST_SKIP() << why_no_cuda();
  }
  static DeviceKind device() { return GetParam(); }
  static const PackKernels& kernels() { return pack_kernels(GetParam()); }
};

/// Equal, or both nan: zeros of either sign are equal.
inline void expect_same(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_TRUE(a[i] == b[i] || (a[i] != a[i] && b[i] != b[i])) << what << ", element " << i << ": " << a[i] << " and " << b[i];
}

}  // namespace panther::test
