#pragma once
// Sums of bf16 and f16 over a backend whose own sum would round at every rank: chunks go to their owners, which add them
// in f32 and round once, and the sums come back.
#include <memory>

#include "comm/collective.h"

namespace panther::comm {

/// One communication thread at a time. Memory comes from plain_allocator() and grows to 2 or 3 times the largest buffer.
class PANTHER_COMM_API HalfSum {
 public:
  explicit HalfSum(Device device);
  ~HalfSum();
  HalfSum(const HalfSum&) = delete;
  HalfSum& operator=(const HalfSum&) = delete;

  /// buffer = sum over ranks, through all_to_all and all_gather of `group`. Sends 2 (p - 1) chunks of ceil(numel / p)
  /// elements, rounded up to 8.
  void all_reduce(Collective& group, const TensorView& buffer, Stream stream, Deadline deadline);
  /// output = sum over ranks of their input's chunk of this rank. The input is only read.
  void reduce_scatter(Collective& group, const TensorView& input, const TensorView& output, Stream stream, Deadline deadline);

 private:
  struct Memory;
  TensorView place(Memory& memory, DType dtype, std::int64_t count, Stream stream);
  void sum_chunks(const TensorView& chunks, int ranks, const TensorView& output, Stream stream);

  Device device_;
  std::unique_ptr<Memory> padded_;
  std::unique_ptr<Memory> received_;
  std::unique_ptr<Memory> wide_;
};

}  // namespace panther::comm
