#include "runtime/train/world.h"

#include "comm/group.h"
#include "core/error.h"
#include "runtime/tensor/view_of.h"
#include "runtime/train/torch_store.h"

namespace panther::runtime {

namespace {

std::shared_ptr<comm::Store> open_job_store(const RankFacts& facts, comm::Deadline deadline) {
  std::shared_ptr<comm::Store> store;
  if (!facts.store_url.empty()) {
    store = comm::open_store(facts.store_url, deadline);
  } else if (!facts.master_addr.empty() && facts.master_port > 0) {
    // torchrun's agent serves its port itself; with plain environment variables rank 0 does.
    const bool serve = !facts.torchrun_agent_store && facts.rank == 0;
    store = open_torch_store(facts.master_addr, facts.master_port, facts.world_size, serve, deadline);
  } else {
    return nullptr;
  }
  return comm::make_prefix_store(store, concat("panther/", facts.job_id, "/", facts.restart_count, "/"));
}

/// Device of the collective's own small messages.
at::Tensor message_tensor(const World& world, at::ScalarType type, std::int64_t size) {
  const Device device{world.collective->device(), world.device.index};
  return at::zeros({size}, at::TensorOptions().dtype(type).device(torch_device(device)));
}

}  // namespace

comm::Deadline World::deadline() const { return comm::Deadline::after(timeout); }

Device choose_device(const std::string& name, int local_rank) {
  if (name == "auto") return parse_device(cuda_kernels() != nullptr ? "cuda" : "cpu", local_rank);
  return parse_device(name, local_rank);
}

World join_world(const RunConfig& config, const RankFacts& facts) {
  World world;
  world.facts = facts;
  world.timeout = std::chrono::nanoseconds(static_cast<std::int64_t>(config.comm.timeout_seconds * 1e9));
  world.device = choose_device(config.device, facts.local_rank);
  comm::GroupOptions options;
  options.backend = config.comm.backend;
  options.rank = facts.rank;
  options.size = facts.world_size;
  options.local_rank = facts.local_rank;
  options.local_size = facts.local_world_size;
  options.device = world.device;
  options.mpi_launched = facts.mpi_launched();
  options.deterministic = config.comm.deterministic;
  options.interface_address = config.comm.interface_address;
  options.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(world.timeout);
  if (facts.world_size > 1 && !options.mpi_launched) {
    world.store = open_job_store(facts, world.deadline());
    PANTHER_REQUIRE(world.store != nullptr, "the environment says ", facts.world_size, " ranks (", facts.convention,
                    ") but names no place to meet; set PANTHER_STORE=tcp://host:port or file:///folder, or MASTER_ADDR and MASTER_PORT");
  }
  options.store = world.store;
  world.collective = comm::make_collective(options);
  return world;
}

std::string broadcast_text(World& world, const std::string& text) {
  if (world.size() == 1) return text;
  at::Tensor length = message_tensor(world, at::kLong, 1);
  length.fill_(static_cast<std::int64_t>(text.size()));
  const Stream stream = current_stream({world.collective->device(), world.device.index});
  world.collective->broadcast(view_of(length), 0, stream, world.deadline()).wait(world.deadline());
  at::Tensor bytes = at::zeros({length.item<std::int64_t>()}, at::kByte);
  if (world.leader()) std::copy(text.begin(), text.end(), bytes.data_ptr<std::uint8_t>());
  at::Tensor message = bytes.to(length.device());
  if (message.numel() > 0) world.collective->broadcast(view_of(message), 0, stream, world.deadline()).wait(world.deadline());
  bytes = message.cpu();
  return {reinterpret_cast<const char*>(bytes.data_ptr<std::uint8_t>()), static_cast<std::size_t>(bytes.numel())};
}

std::vector<double> all_reduce_sum(World& world, std::vector<double> values) {
  if (world.size() == 1 || values.empty()) return values;
  at::Tensor message = message_tensor(world, at::kDouble, static_cast<std::int64_t>(values.size()));
  message.copy_(at::from_blob(values.data(), {message.numel()}, at::kDouble));
  const Stream stream = current_stream({world.collective->device(), world.device.index});
  world.collective->all_reduce(view_of(message), comm::ReduceOp::sum, stream, world.deadline()).wait(world.deadline());
  message = message.cpu();
  return {message.data_ptr<double>(), message.data_ptr<double>() + message.numel()};
}

}  // namespace panther::runtime
