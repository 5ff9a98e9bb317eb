// The twin of gloo.cpp where gloo is not built.
#include "comm/backends/backends.h"
#include "core/error.h"

namespace panther::comm {

std::string why_no_gloo() { return "not built: install libgloo-dev and configure with -DPANTHER_WITH_GLOO=ON"; }

std::unique_ptr<Collective> make_gloo(const GroupOptions&) { fail(ErrorCode::Unsupported, "comm.backend = gloo: ", why_no_gloo()); }

}  // namespace panther::comm
