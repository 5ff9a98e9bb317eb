#pragma once
// Whether a matrix is loaded whole or streamed in blocks of rows. The decision is pure; the facts come from the machine.
#include <cstdint>
#include <string>

#include "core/dtype.h"

namespace panther::tools {

struct MemoryNeed {
  std::int64_t rows = 0, columns = 0;
  DType dtype = DType::f64;
  std::int64_t factor_columns = 0;  ///< k + oversampling, or n for a full decomposition
  double matrix_copies = 1;         ///< of the whole matrix that the method holds: 1 loaded, 2 when it works on a copy
};

/// Bytes of a method that holds the whole matrix: copies of it, and factors of m x l and n x l, each with one work copy.
std::int64_t whole_bytes(const MemoryNeed& need);

struct MemoryPlan {
  bool whole = true;
  std::int64_t block_rows = 0;  ///< when streamed
  std::string reason;           ///< one sentence for the report
};

/// `can_stream`: the command has a method that reads A once. Throws OutOfMemory saying need, limit and remedy when neither fits.
MemoryPlan plan_memory(const MemoryNeed& need, std::int64_t limit_bytes, bool can_stream, bool must_stream);

/// What is free now: the smaller of MemAvailable and what the control group leaves. 0: not known.
std::int64_t available_memory_bytes();

}  // namespace panther::tools
