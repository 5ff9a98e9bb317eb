#pragma once
// Functions marked PANTHER_VECTORISED are compiled for plain x86-64, AVX2 and AVX-512 and chosen at load time, so one
// binary runs everywhere. Sanitizers instrument the resolvers before their own start-up, so they get the plain version.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PANTHER_VECTORISED __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define PANTHER_VECTORISED
#endif
