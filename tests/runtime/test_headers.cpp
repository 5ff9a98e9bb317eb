// Owns the precompiled header of the runtime's tests.
#include "tests/runtime/test_headers.h"
