#include "core/error.h"

#include <algorithm>
#include <utility>

namespace panther {

std::string_view error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::InvalidArgument: return "InvalidArgument";
    case ErrorCode::Unsupported: return "Unsupported";
    case ErrorCode::PeerLost: return "PeerLost";
    case ErrorCode::Timeout: return "Timeout";
    case ErrorCode::DeviceFault: return "DeviceFault";
    case ErrorCode::OutOfMemory: return "OutOfMemory";
    case ErrorCode::Corrupt: return "Corrupt";
    case ErrorCode::Internal: return "Internal";
    case ErrorCode::NonFinite: return "NonFinite";
    case ErrorCode::Io: return "Io";
  }
  return "Internal";
}

namespace {

/// The message, then one indented line per line of context.
std::string printable(const std::string& message, const std::string& context) {
  std::string text = message;
  std::size_t begin = 0;
  while (begin < context.size()) {
    const std::size_t end = std::min(context.find('\n', begin), context.size());
    text.append("\n  ").append(context, begin, end - begin);
    begin = end + 1;
  }
  return text;
}

}  // namespace

Error::Error(ErrorCode code, std::string message, std::string context)
    : std::runtime_error(printable(message, context)), code_(code), message_(std::move(message)), context_(std::move(context)) {}

Error Error::with(std::string_view place) const {
  return Error(code_, message_, context_.empty() ? std::string(place) : concat(context_, '\n', place));
}

}  // namespace panther
