#pragma once
// What libpanther_kernels shows; everything else is hidden.
#define PANTHER_KERNELS_API __attribute__((visibility("default")))
