#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <fstream>
#include <string>

#include "runtime/observe/progress.h"

namespace panther::runtime {
namespace {

/// VmHWM of proc(5): the most that was ever resident.
std::int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  std::string key;
  while (status >> key) {
    std::int64_t kibibytes = 0;
    if (key == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
    std::getline(status, key);
  }
  return 0;
}

std::int64_t peak_device_bytes() {
  if (!at::hasCUDA()) return 0;
  auto* allocator = c10::getDeviceAllocator(at::kCUDA);
  if (!allocator->initialized()) return 0;
  const c10::DeviceIndex device = c10::impl::VirtualGuardImpl(at::kCUDA).getDevice().index();
  constexpr auto kAll = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return allocator->getDeviceStats(device).active_bytes[kAll].peak;
}

}  // namespace

MemoryPeak memory_peak() { return {peak_resident_bytes(), peak_device_bytes()}; }

}  // namespace panther::runtime
