#pragma once
// Which of this host's addresses a backend over sockets listens on.
#include <string>

#include "comm/group.h"

namespace panther::comm {

/// options.interface_address, else GLOO_SOCKET_IFNAME, else loopback when all ranks are on this host, else the host's name. An address or an interface.
std::string interface_choice(const GroupOptions& options);
/// The same, an interface as its first address (IPv4 before IPv6). Throws InvalidArgument for an interface without one.
std::string listen_address(const GroupOptions& options);

}  // namespace panther::comm
