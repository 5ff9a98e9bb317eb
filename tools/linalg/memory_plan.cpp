#include "tools/linalg/memory_plan.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "kernels/linalg/memory_need.h"

namespace panther::tools {
namespace {

std::string human(double bytes) { return human_bytes(bytes); }

double size(DType dtype) { return static_cast<double>(size_of(dtype)); }

double factor_bytes(const MemoryNeed& need) {
  return 2.0 * static_cast<double>(need.rows + need.columns) * static_cast<double>(need.factor_columns) * size(need.dtype);
}

}  // namespace

std::int64_t whole_bytes(const MemoryNeed& need) {
  const double bytes =
      need.matrix_copies * static_cast<double>(need.rows) * static_cast<double>(need.columns) * size(need.dtype) + factor_bytes(need);
  return bytes > 9e18 ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(bytes);
}

MemoryPlan plan_memory(const MemoryNeed& need, std::int64_t limit_bytes, bool can_stream, bool must_stream) {
  const double limit = static_cast<double>(limit_bytes), whole = static_cast<double>(whole_bytes(need));
  const bool fits = limit_bytes <= 0 || whole <= limit;
  if (fits && !must_stream) return {true, 0, ""};
  if (!can_stream)
    fail(ErrorCode::OutOfMemory, "this needs about ", human(whole), " and ", human(limit),
         " may be used; raise --memory, use --dtype f32, a smaller --rank, or a "
         "command that streams (svd with --rank, sketch)");
  const double left = limit_bytes <= 0 ? 1e9 : limit - factor_bytes(need);
  const double row = static_cast<double>(need.columns) * size(need.dtype);
  // Three blocks: as read, converted, and what the sketch makes of it.
  const double rows = left / (3 * row);
  if (rows < 1)
    fail(ErrorCode::OutOfMemory, "even streamed this needs about ", human(factor_bytes(need) + 3 * row), " for its factors and ",
         human(limit), " may be used; raise --memory or lower --rank");
  const auto block = static_cast<std::int64_t>(std::clamp(std::min(rows, 16e6 / row), 1.0, static_cast<double>(need.rows)));
  if (fits) return {false, block, concat("read once in blocks of ", block, " rows, as --method asks")};
  return {false, block,
          concat("the matrix whole would need ", human(whole), ", more than the ", human(limit),
                 " that may be used: read once in blocks of ", block, " rows")};
}

std::int64_t available_memory_bytes() {
  const std::int64_t available = linalg::available_bytes(Device{});
  return available == std::numeric_limits<std::int64_t>::max() ? 0 : std::max<std::int64_t>(available, 1);
}

}  // namespace panther::tools
