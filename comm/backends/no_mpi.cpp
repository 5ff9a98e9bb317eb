// The twin of mpi.cpp where no MPI is built.
#include "comm/backends/backends.h"
#include "core/error.h"

namespace panther::comm {

std::string why_no_mpi() {
  return "not built: install libopenmpi-dev or libmpich-dev and configure with -DPANTHER_WITH_MPI=ON";
}

std::unique_ptr<Collective> make_mpi(const GroupOptions&) { fail(ErrorCode::Unsupported, "comm.backend = mpi: ", why_no_mpi()); }

}  // namespace panther::comm
