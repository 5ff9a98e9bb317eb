#pragma once
// Device memory that goes back to a list, as the runtime's allocator keeps it: a timed call does not wait for the driver to map memory.
#include <map>
#include <vector>

#include "kernels/allocator.h"

namespace panther::bench {

/// For one stream: a released block may be handed out while kernels queued before still use it.
class ReusingAllocator final : public Allocator {
 public:
  ~ReusingAllocator() override {
    for (auto& [size, blocks] : free_) {
      for (const Block& block : blocks) plain_allocator().release(block.pointer, block.device, {});
    }
  }
  void* allocate(std::size_t bytes, Device device, Stream stream) override {
    const std::size_t size = (bytes + kGranule - 1) / kGranule * kGranule;
    std::vector<Block>& blocks = free_[size];
    void* pointer = nullptr;
    if (blocks.empty()) {
      pointer = plain_allocator().allocate(size, device, stream);
    } else {
      pointer = blocks.back().pointer;
      blocks.pop_back();
    }
    sizes_[pointer] = size;
    return pointer;
  }
  void release(void* pointer, Device device, Stream) noexcept override {
    const auto held = sizes_.find(pointer);
    free_[held->second].push_back({pointer, device});
    sizes_.erase(held);
  }

 private:
  static constexpr std::size_t kGranule = 1 << 16;
  struct Block {
    void* pointer;
    Device device;
  };
  std::map<std::size_t, std::vector<Block>> free_;
  std::map<void*, std::size_t> sizes_;
};

}  // namespace panther::bench
