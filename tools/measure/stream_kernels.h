#pragma once
// The loops of McCalpin's STREAM that say how fast memory is. All threads, static shares.
#include <cstdint>

namespace panther::measure {

/// a = b + scalar * c.
void triad(double* a, const double* b, const double* c, double scalar, std::int64_t count);
double sum_of(const double* a, std::int64_t count);

}  // namespace panther::measure
