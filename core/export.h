#pragma once
// What libpanther_core shows; everything else is hidden.
#define PANTHER_CORE_API __attribute__((visibility("default")))
