#pragma once
// What libpanther_runtime shows; everything else is hidden.
#define PANTHER_RUNTIME_API __attribute__((visibility("default")))
