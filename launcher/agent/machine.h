#pragma once
// Facts of this machine that a local job needs.

namespace panther::launcher {

/// Processors this process may use: its affinity and, where one is set, the cgroup's quota (rounded up).
int usable_cores();
/// Columns of the terminal on `fd`, 0 when it is none.
int terminal_columns(int fd);
/// A TCP port of the loopback address that nobody listens on at the moment. Throws Io.
int free_port();

}  // namespace panther::launcher
