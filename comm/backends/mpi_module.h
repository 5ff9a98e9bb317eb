#pragma once
// Between libpanther_comm and the modules libpanther_mpi_openmpi.so and libpanther_mpi_mpich.so: both MPIs define the same
// symbols with different types, so each is compiled and loaded apart. Module and library come from one build.
#include "comm/backends/transport.h"

namespace panther::comm {

struct MpiWorldFacts {
  int rank = 0;
  int size = 1;
};

/// What a module exports under kMpiModuleEntry. Starts MPI; the caller owns the transport, whose destructor ends MPI unless
/// something failed before. Throws Error.
using MakeMpiTransport = Transport* (*)(const MpiWorldFacts& expected);
inline constexpr const char* kMpiModuleEntry = "panther_make_mpi_transport_1";

}  // namespace panther::comm
