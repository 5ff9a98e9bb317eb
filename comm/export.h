#pragma once
// What libpanther_comm shows; everything else is hidden.
#define PANTHER_COMM_API __attribute__((visibility("default")))
