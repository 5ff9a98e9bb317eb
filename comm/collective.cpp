#include "comm/collective.h"

namespace panther::comm {

Collective::~Collective() = default;

}  // namespace panther::comm
