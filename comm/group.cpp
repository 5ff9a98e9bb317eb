#include "comm/group.h"

#include <exception>
#include <mutex>
#include <thread>

#include "comm/backends/backends.h"
#include "comm/backends/ordered_collective.h"
#include "comm/backends/staged_collective.h"
#include "core/error.h"
#include "core/registry.h"
#include "kernels/cuda/device_memory.h"

namespace panther::comm {
namespace {

using Make = std::unique_ptr<Collective> (*)(const GroupOptions&);

std::unique_ptr<Collective> make_self_for(const GroupOptions& options) {
  PANTHER_REQUIRE(options.size == 1, "comm.backend = self is a world of one rank, this one has ", options.size,
                  "; use tcp, gloo, mpi or nccl, or leave comm.backend = auto");
  return make_self(options.device.kind);
}

const Registry<Make>& backends() {
  static const Registry<Make> registry = [] {
    Registry<Make> result("comm.backend");
    result.add("self", make_self_for);
    result.add("threads", join_threads);
    result.add("tcp", make_tcp);
    result.add("gloo", make_gloo);
    result.add("mpi", make_mpi);
    result.add("nccl", make_nccl);
    return result;
  }();
  return registry;
}

}  // namespace

std::string resolve_backend(const GroupOptions& options) {
  if (options.backend != "auto") return options.backend;
  if (options.size == 1) return "self";
  if (options.device.kind == DeviceKind::cuda) return "nccl";
  return options.mpi_launched ? "mpi" : "tcp";
}

namespace {

std::unique_ptr<Collective> staged_where_needed(std::unique_ptr<Collective> group, Device device) {
  return device.kind == group->device() ? std::move(group) : make_staged_collective(std::move(group), device);
}

}  // namespace

std::unique_ptr<Collective> make_collective(const GroupOptions& options) {
  PANTHER_REQUIRE(options.size >= 1 && options.rank >= 0 && options.rank < options.size, "rank ", options.rank, " of ", options.size,
                  " ranks does not exist");
  std::unique_ptr<Collective> group = backends().at(resolve_backend(options))(options);
  if (options.deterministic) group = make_ordered_collective(std::move(group));
  return staged_where_needed(std::move(group), options.device);
}

std::vector<BackendStatus> backend_statuses() {
  return {{"self", ""}, {"threads", ""}, {"tcp", ""}, {"gloo", why_no_gloo()}, {"mpi", why_no_mpi()}, {"nccl", why_no_nccl()}};
}

void run_ranks_as_threads(int ranks, const std::function<void(Collective&)>& body, Device device) {
  std::vector<std::unique_ptr<Collective>> groups = make_threads(ranks);
  std::mutex mutex;
  std::exception_ptr first;
  std::vector<std::thread> threads;
  for (std::unique_ptr<Collective>& slot : groups) {
    threads.emplace_back([&mutex, &first, &body, device, group = std::move(slot)]() mutable {
      try {
        if (device.kind == DeviceKind::cuda) set_device(device.index);
        group = staged_where_needed(std::move(group), device);
        body(*group);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (first == nullptr) first = std::current_exception();
      }
      // The others see that this rank is gone only after its failure is noted as the first.
      group.reset();
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (first != nullptr) std::rethrow_exception(first);
}

}  // namespace panther::comm
