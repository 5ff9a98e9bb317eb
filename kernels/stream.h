#pragma once
// Where asynchronous work is queued. Null on the CPU, a cudaStream_t on CUDA.

namespace panther {

struct Stream {
  void* native = nullptr;
};

}  // namespace panther
