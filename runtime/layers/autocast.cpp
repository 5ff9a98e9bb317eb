#include "runtime/layers/autocast.h"

#include <ATen/autocast_mode.h>

#include <atomic>

namespace panther::runtime {
namespace {

thread_local int depth = 0;
thread_local std::uint64_t epoch = 0;
std::atomic<std::uint64_t> next_epoch{1};

}  // namespace

AutocastGuard::AutocastGuard(c10::Device device, bool bf16) : device_(device.type()), active_(bf16) {
  if (!active_) return;
  previous_enabled_ = at::autocast::is_autocast_enabled(device_);
  previous_dtype_ = at::autocast::get_autocast_dtype(device_);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);
  at::autocast::increment_nesting();
  if (depth++ == 0) epoch = next_epoch.fetch_add(1);
}

AutocastGuard::~AutocastGuard() {
  if (!active_) return;
  if (--depth == 0) epoch = 0;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, previous_enabled_);
  at::autocast::set_autocast_dtype(device_, previous_dtype_);
}

std::uint64_t autocast_epoch() noexcept { return epoch; }

}  // namespace panther::runtime
