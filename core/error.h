#pragma once
// The one exception type of Panther and the two checks that raise it.
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/export.h"
#include "core/text.h"

namespace panther {

/// What went wrong, in terms of who must act. `docs/errors.md` maps each code to the launcher's decision, the gRPC
/// status and the process exit code (`core/exit_code.h`).
enum class ErrorCode {
  InvalidArgument,  ///< the user's usage, configuration or data
  Unsupported,      ///< not built, or not on this device, or from a newer version
  PeerLost,         ///< another rank is gone
  Timeout,          ///< a deadline passed
  DeviceFault,      ///< a GPU failed
  OutOfMemory,      ///< host or device memory
  Corrupt,          ///< stored or received bytes are damaged
  Internal,         ///< our own bug
  NonFinite,        ///< nan or inf in the loss or the gradients, too often
  Io,               ///< disk full, permission, address in use
};

/// The name as it is printed and stored, e.g. "InvalidArgument".
PANTHER_CORE_API std::string_view error_code_name(ErrorCode code) noexcept;

/// Panther's exception. `message()` says what was wrong, which value, and what to do; each `with()` adds one line of
/// place (config key with file:line, rank, step, path). `what()` is both, ready to print.
class PANTHER_CORE_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, std::string message, std::string context = {});

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const std::string& context() const noexcept { return context_; }

  /// A copy with one more line of context.
  Error with(std::string_view place) const;

 private:
  ErrorCode code_;
  std::string message_;
  std::string context_;
};

/// Throws `Error{code, concat(parts...)}`.
template <class... Parts>
[[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
  throw Error(code, concat(parts...));
}

}  // namespace panther

/// The caller's fault: throws InvalidArgument with the message parts that follow.
#define PANTHER_REQUIRE(condition, ...) \
  do {                                  \
    if (!(condition)) [[unlikely]] ::panther::fail(::panther::ErrorCode::InvalidArgument, __VA_ARGS__); \
  } while (false)

/// Our own fault: throws Internal with the condition, the place and the message parts that follow.
#define PANTHER_CHECK(condition, ...)                                                                             \
  do {                                                                                                            \
    if (!(condition)) [[unlikely]]                                                                                \
      ::panther::fail(::panther::ErrorCode::Internal, __FILE__, ":", __LINE__, ": ", #condition, ": ", __VA_ARGS__); \
  } while (false)
