#include "runtime/commands/doctor_checks.h"

#include <ATen/Parallel.h>
#include <netdb.h>
#include <sys/statvfs.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "comm/group.h"
#include "core/env.h"
#include "core/error.h"
#include "kernels/cuda/device_memory.h"
#include "runtime/tensor/view_of.h"
#include "runtime/train/build_facts.h"

namespace panther::runtime {

namespace {

std::vector<Check> build_checks() {
  std::vector<Check> checks;
  for (const auto& [name, value] : build_facts()) checks.push_back({name, Health::good, value, ""});
  return checks;
}

Check gemm_check() {
  const at::Tensor a = at::eye(64, at::kDouble) * 3, b = at::arange(64 * 64, at::kDouble).reshape({64, 64});
  const bool right = at::mm(a, b).equal(b * 3);
  return {"torch arithmetic", right ? Health::good : Health::bad, right ? concat("right, ", at::get_num_threads(), " threads") : "a matrix product is wrong",
          right ? "" : "reinstall torch (deploy/bootstrap.sh); on old processors set OPENBLAS_CORETYPE"};
}

Check device_check() {
  if (cuda_kernels() == nullptr) return {"GPU", Health::warning, why_no_cuda(), "CPU runs are not affected; device = \"cuda\" will be refused"};
  std::string found;
  for (int i = 0; i < device_count(); ++i) {
    found += concat(i > 0 ? "; " : "", device_name(i), ", ", human_bytes(static_cast<double>(device_memory(i).total_bytes)), ", compute capability ", device_capability(i));
  }
  return {"GPU", Health::good, found, ""};
}

Check memory_check() {
  const double total = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  const double free = static_cast<double>(sysconf(_SC_AVPHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  const bool enough = total > 2e9;
  return {"memory", enough ? Health::good : Health::warning, concat(human_bytes(total), ", ", human_bytes(free), " free"),
          enough ? "" : "less than 2 GB: lower train.global_batch or model.width"};
}

Check shared_memory_check() {
  struct statvfs facts {};
  if (statvfs("/dev/shm", &facts) != 0) return {"shared memory", Health::warning, "/dev/shm is missing", "mount it: containers take --shm-size=1g"};
  const double bytes = static_cast<double>(facts.f_blocks) * static_cast<double>(facts.f_frsize);
  const bool enough = bytes >= 256e6;
  return {"shared memory", enough ? Health::good : Health::warning, human_bytes(bytes),
          enough ? "" : "MPI and NCCL use /dev/shm between ranks of a host; give the container --shm-size=1g"};
}

Check name_check() {
  const std::string host = host_name();
  addrinfo* found = nullptr;
  const int problem = getaddrinfo(host.c_str(), nullptr, nullptr, &found);
  if (found != nullptr) freeaddrinfo(found);
  if (problem == 0) return {"name resolution", Health::good, concat("'", host, "' resolves"), ""};
  return {"name resolution", Health::warning, concat("'", host, "': ", gai_strerror(problem)),
          concat("only runs over several hosts need it: add '127.0.1.1 ", host, "' or the host's address to /etc/hosts, or set comm.interface_address")};
}

std::vector<Check> backend_checks() {
  std::vector<Check> checks;
  for (const comm::BackendStatus& status : comm::backend_statuses()) {
    const bool good = status.why_not.empty();
    checks.push_back({"backend " + status.name, good ? Health::good : Health::warning, good ? "can run" : status.why_not,
                      good ? "" : "choose another comm.backend, or install what is named and build again (deploy/bootstrap.sh)"});
  }
  return checks;
}

/// Sums 1 MiB over `collective` for about a second; returns rounds per second on rank 0.
double sum_for_a_second(comm::Collective& collective) {
  constexpr std::int64_t kCount = 1 << 18;
  std::vector<float> values(kCount);
  const comm::Deadline deadline = comm::Deadline::after(std::chrono::seconds(20));
  const auto start = std::chrono::steady_clock::now();
  int rounds = 0;
  float go_on = 1;
  while (go_on > 0) {
    std::fill(values.begin(), values.end(), static_cast<float>(collective.rank() + 1));
    collective.all_reduce(TensorView(values.data(), DType::f32, {kCount}), comm::ReduceOp::sum, {}, deadline).wait(deadline);
    const float expected = static_cast<float>(collective.size() * (collective.size() + 1)) / 2;
    PANTHER_REQUIRE(values[kCount - 1] == expected, "a sum over ranks gave ", values[kCount - 1], " instead of ", expected);
    ++rounds;
    go_on = std::chrono::steady_clock::now() - start < std::chrono::seconds(1) ? 1.0f : 0.0f;
    collective.broadcast(TensorView(&go_on, DType::f32, {1}), 0, {}, deadline).wait(deadline);
  }
  return rounds / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Two ranks as threads over sockets, as two local workers talk.
double tcp_rate() {
  const auto store = comm::make_memory_store();
  double rate = 0;
  std::string problem;
  const auto rank_body = [&](int rank) {
    try {
      comm::GroupOptions options;
      options.backend = "tcp";
      options.rank = rank;
      options.size = options.local_size = 2;
      options.store = store;
      options.timeout = std::chrono::seconds(20);
      const auto collective = comm::make_collective(options);
      const double measured = sum_for_a_second(*collective);
      if (rank == 0) rate = measured;
    } catch (const std::exception& error) {
      if (rank == 0) problem = error.what();
    }
  };
  std::thread other(rank_body, 1);
  rank_body(0);
  other.join();
  PANTHER_REQUIRE(problem.empty(), problem);
  return rate;
}

Check all_reduce_check() {
  const char* name = "all_reduce over tcp";
  try {
    const double rate = tcp_rate();
    return {name, Health::good, concat("2 ranks, 1 MiB, right, ", std::round(rate), " per second"), ""};
  } catch (const std::exception& error) {
    return {name, Health::bad, error.what(), "check that the loopback interface is up and no firewall blocks local connections"};
  }
}

}  // namespace

std::vector<Check> run_doctor_checks() {
  std::vector<Check> checks = build_checks();
  for (Check check : {gemm_check(), device_check(), memory_check(), shared_memory_check(), name_check()}) checks.push_back(std::move(check));
  for (Check& check : backend_checks()) checks.push_back(std::move(check));
  checks.push_back(all_reduce_check());
  return checks;
}

}  // namespace panther::runtime
