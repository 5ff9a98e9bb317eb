#include "comm/backends/listen_address.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>

#include "core/env.h"
#include "core/error.h"

namespace panther::comm {
namespace {

/// "" when the interface has none of that family.
std::string address_of(const ifaddrs* interfaces, const std::string& name, int family) {
  for (const ifaddrs* entry = interfaces; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || name != entry->ifa_name || entry->ifa_addr->sa_family != family) continue;
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    char text[NI_MAXHOST] = {};
    if (::getnameinfo(entry->ifa_addr, size, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) == 0) return text;
  }
  return {};
}

}  // namespace

std::string interface_choice(const GroupOptions& options) {
  if (!options.interface_address.empty()) return options.interface_address;
  const std::string variable = env_value("GLOO_SOCKET_IFNAME").value_or("");
  if (!variable.empty()) return variable;
  if (options.local_size == options.size) return "127.0.0.1";
  return host_name();
}

std::string listen_address(const GroupOptions& options) {
  const std::string choice = interface_choice(options);
  if (::if_nametoindex(choice.c_str()) == 0) return choice;
  ifaddrs* interfaces = nullptr;
  PANTHER_REQUIRE(::getifaddrs(&interfaces) == 0, "cannot list this host's network interfaces");
  std::string address = address_of(interfaces, choice, AF_INET);
  if (address.empty()) address = address_of(interfaces, choice, AF_INET6);
  ::freeifaddrs(interfaces);
  PANTHER_REQUIRE(!address.empty(), "the network interface '", choice, "' has no address; set comm.interface_address to another one or to an address of this host");
  return address;
}

}  // namespace panther::comm
