#include "core/exit_code.h"

#include <cstdio>
#include <new>

namespace panther {

int exit_code_for(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::InvalidArgument: return 64;
    case ErrorCode::Unsupported: return 65;
    case ErrorCode::PeerLost: return 66;
    case ErrorCode::Timeout: return 67;
    case ErrorCode::DeviceFault: return 68;
    case ErrorCode::OutOfMemory: return 69;
    case ErrorCode::Corrupt: return 70;
    case ErrorCode::Internal: return 71;
    case ErrorCode::NonFinite: return 72;
    case ErrorCode::Io: return 74;
  }
  return 71;
}

namespace {

/// Allocates nothing, so that it also works when memory is what ran out.
int report(const char* what, ErrorCode code) noexcept {
  const int exit_code = exit_code_for(code);
  const std::string_view name = error_code_name(code);
  std::fflush(stdout);
  std::fprintf(stderr, "error: %s\n  (%.*s, exit code %d)\n", what, static_cast<int>(name.size()), name.data(), exit_code);
  std::fflush(stderr);
  return exit_code;
}

}  // namespace

int run_main(int (*body)(int, char**), int argc, char** argv) noexcept {
  try {
    return body(argc, argv);
  } catch (const Error& error) {
    return report(error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report("out of host memory; use a smaller model, batch or sequence, or a machine with more memory", ErrorCode::OutOfMemory);
  } catch (const std::exception& error) {
    return report(error.what(), ErrorCode::Internal);
  } catch (...) {
    return report("an exception of an unknown type escaped", ErrorCode::Internal);
  }
}

}  // namespace panther
