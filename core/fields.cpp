#include "core/fields.h"

namespace panther {

FieldVisitor::~FieldVisitor() = default;

}  // namespace panther
