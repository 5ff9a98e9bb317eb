#pragma once
// Tensors as safetensors entries: contiguous bytes in host memory.
#include <vector>

#include "core/file_format/safetensors.h"
#include "runtime/optim/optimizer.h"

namespace panther::runtime {

/// Host copies that share nothing with `tensors`; ready when it returns.
NamedTensors copied_to_host(const NamedTensors& tensors);

/// Entries over `tensors`; copies only what is on a device or not contiguous. The tensors must outlive it unchanged.
/// Throws Unsupported for a dtype that the format has not.
class HostTensors {
 public:
  explicit HostTensors(const NamedTensors& tensors);
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }

 private:
  std::vector<at::Tensor> kept_;
  std::vector<SafetensorsEntry> entries_;
};

}  // namespace panther::runtime
