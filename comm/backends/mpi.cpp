// Chooses and loads the module of the MPI that started this process.
#include <dlfcn.h>

#include <filesystem>

#include "comm/backends/backends.h"
#include "comm/backends/message_collective.h"
#include "comm/backends/mpi_module.h"
#include "core/env.h"
#include "core/error.h"

namespace panther::comm {
namespace {

constexpr const char* kKinds[] = {"openmpi", "mpich"};

/// Beside libpanther_comm itself.
std::filesystem::path module_path(const std::string& kind) {
  Dl_info info{};
  ::dladdr(reinterpret_cast<const void*>(&why_no_mpi), &info);
  const std::filesystem::path folder = info.dli_fname == nullptr ? "." : std::filesystem::path(info.dli_fname).parent_path();
  return folder / ("libpanther_mpi_" + kind + ".so");
}

std::vector<std::string> built_kinds() {
  std::vector<std::string> result;
  for (const char* kind : kKinds) {
    if (std::filesystem::exists(module_path(kind))) result.push_back(kind);
  }
  return result;
}

/// By what the launcher of each MPI leaves in the environment; the first one that is built without a launcher.
std::string choose_kind() {
  if (const auto wanted = env_value("PANTHER_MPI"); wanted && !wanted->empty()) {
    PANTHER_REQUIRE(*wanted == kKinds[0] || *wanted == kKinds[1], "PANTHER_MPI = ", *wanted, "; known: openmpi, mpich");
    return *wanted;
  }
  if (env_value("OMPI_COMM_WORLD_SIZE") || env_value("PMIX_RANK")) return "openmpi";
  if (env_value("PMI_RANK") || env_value("PMI_SIZE")) return "mpich";
  const std::vector<std::string> built = built_kinds();
  return built.empty() ? "openmpi" : built.front();
}

MakeMpiTransport load(const std::string& kind) {
  const std::filesystem::path path = module_path(kind);
  if (!std::filesystem::exists(path)) {
    fail(ErrorCode::Unsupported, "this job was started by ", kind, ", for which no module is built (", path.string(), "; built: ", join(built_kinds()),
         "); install its development package and build again, or use the mpirun of a built one");
  }
  // Global: plug-ins that MPI loads later look for its symbols. Never closed: MPI's threads and handlers stay.
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr) fail(ErrorCode::Unsupported, "cannot load ", path.string(), ": ", ::dlerror());
  const auto make = reinterpret_cast<MakeMpiTransport>(::dlsym(module, kMpiModuleEntry));
  if (make == nullptr) fail(ErrorCode::Unsupported, path.string(), " is of another build (", ::dlerror(), "); build and install again");
  return make;
}

}  // namespace

std::string why_no_mpi() {
  if (!built_kinds().empty()) return {};
  return concat("no module beside libpanther_comm (", module_path("openmpi").string(), "); install libopenmpi-dev or libmpich-dev and build again");
}

std::unique_ptr<Collective> make_mpi(const GroupOptions& options) {
  const MakeMpiTransport make = load(choose_kind());
  return make_message_collective(std::unique_ptr<Transport>(make({options.rank, options.size})));
}

}  // namespace panther::comm
