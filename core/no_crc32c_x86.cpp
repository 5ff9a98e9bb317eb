#include "core/crc32c_hardware.h"

namespace panther::detail {

Crc32cUpdate hardware_crc32c() noexcept { return nullptr; }

}  // namespace panther::detail
