#pragma once
// Precompiled for the runtime's tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/precompiled.h"
