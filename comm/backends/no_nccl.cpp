// The twin of nccl.cpp where NCCL is not built.
#include "comm/backends/backends.h"
#include "core/error.h"

namespace panther::comm {

std::string why_no_nccl() { return "not built: configure with -DPANTHER_WITH_CUDA=ON -DPANTHER_WITH_NCCL=ON on a machine with NCCL"; }

std::unique_ptr<Collective> make_nccl(const GroupOptions&) { fail(ErrorCode::Unsupported, "comm.backend = nccl: ", why_no_nccl()); }

}  // namespace panther::comm
