#pragma once
// bf16 compute with f32 parameters: torch's autocast as a scope, which sketched layers honour too.
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

#include "runtime/export.h"

namespace panther::runtime {

/// While it lives, matrix products of this thread on `device` run in bf16 (`bf16` false: a scope without effect). Casts of weights
/// are kept until the outermost scope ends, so parameters must not change inside one: open one around the forward passes of an
/// optimizer step. Backward runs in the types that forward used, in or outside the scope.
class PANTHER_RUNTIME_API AutocastGuard {
 public:
  AutocastGuard(c10::Device device, bool bf16);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  c10::DeviceType device_;
  bool active_;
  bool previous_enabled_ = false;
  c10::ScalarType previous_dtype_ = c10::ScalarType::Undefined;
};

/// Changes with every outermost scope of this thread; 0 outside of any. Casts made under one value may be reused under it.
std::uint64_t autocast_epoch() noexcept;

}  // namespace panther::runtime
