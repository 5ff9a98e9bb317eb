#include "comm/exchange/control_tail.h"

#include <array>
#include <bit>
#include <cstring>

#include "core/error.h"
#include "kernels/element/half.h"

namespace panther::comm {
namespace {

constexpr int kLossBytes = 8;
constexpr int kPerRank = kLossBytes + 1;
constexpr unsigned kStop = 1, kCheckpoint = 2, kNonFinite = 4, kPlan = 8, kPresent = 128;

void store(const TensorView& view, std::int64_t index, float value) {
  switch (view.dtype) {
    case DType::f64: view.as<double>()[index] = value; return;
    case DType::f32: view.as<float>()[index] = value; return;
    case DType::bf16: view.as<Bf16>()[index] = to_bf16(value); return;
    case DType::f16: view.as<F16>()[index] = to_f16(value); return;
    case DType::i64: case DType::i32: case DType::u8: break;
  }
  PANTHER_CHECK(false, "a control word cannot travel as ", dtype_name(view.dtype));
}

double load(const TensorView& view, std::int64_t index) {
  switch (view.dtype) {
    case DType::f64: return view.as<double>()[index];
    case DType::f32: return view.as<float>()[index];
    case DType::bf16: return to_float(view.as<Bf16>()[index]);
    case DType::f16: return to_float(view.as<F16>()[index]);
    case DType::i64: case DType::i32: case DType::u8: break;
  }
  PANTHER_CHECK(false, "a control word cannot travel as ", dtype_name(view.dtype));
}

/// The byte an element stands for, or -1 when it is none (nan too).
int byte_at(const TensorView& view, std::int64_t index) {
  const double value = load(view, index);
  if (!(value >= 0 && value <= 255)) return -1;
  const int byte = static_cast<int>(value);
  return byte == value ? byte : -1;
}

}  // namespace

std::int64_t control_elements(int ranks) { return static_cast<std::int64_t>(kPerRank) * ranks; }

void write_control(const TensorView& tail, int rank, int ranks, const ControlWord& control, double loss, bool plan) {
  std::memset(tail.data, 0, static_cast<std::size_t>(control_elements(ranks)) * size_of(tail.dtype));
  const std::int64_t own = static_cast<std::int64_t>(kPerRank) * rank;
  const auto bits = std::bit_cast<std::uint64_t>(loss);
  for (int i = 0; i < kLossBytes; ++i) store(tail, own + i, static_cast<float>((bits >> (8 * i)) & 255u));
  const unsigned flags = kPresent | (control.stop ? kStop : 0u) | (control.checkpoint ? kCheckpoint : 0u) | (control.nonfinite ? kNonFinite : 0u) | (plan ? kPlan : 0u);
  store(tail, own + kLossBytes, static_cast<float>(flags));
}

ControlSum read_control(const TensorView& tail, int ranks) {
  ControlSum sum;
  for (int rank = 0; rank < ranks; ++rank) {
    const std::int64_t own = static_cast<std::int64_t>(kPerRank) * rank;
    std::uint64_t bits = 0;
    const int flags = byte_at(tail, own + kLossBytes);
    bool whole = flags >= static_cast<int>(kPresent);
    for (int i = 0; i < kLossBytes; ++i) {
      const int byte = byte_at(tail, own + i);
      whole = whole && byte >= 0;
      bits |= static_cast<std::uint64_t>(byte & 255) << (8 * i);
    }
    if (!whole) {
      if (sum.first_wrong < 0) sum.first_wrong = rank;
      continue;
    }
    sum.loss_sum += std::bit_cast<double>(bits);
    sum.any.stop |= (static_cast<unsigned>(flags) & kStop) != 0;
    sum.any.checkpoint |= (static_cast<unsigned>(flags) & kCheckpoint) != 0;
    sum.plan |= (static_cast<unsigned>(flags) & kPlan) != 0;
    if ((static_cast<unsigned>(flags) & kNonFinite) != 0) {
      sum.any.nonfinite = true;
      sum.nonfinite_ranks.push_back(rank);
    }
    ++sum.contributions;
  }
  return sum;
}

void write_presence(const TensorView& tail, int rank, int ranks) {
  for (int i = 0; i < ranks; ++i) store(tail, i, i == rank ? 1.0f : 0.0f);
}

int read_presence(const TensorView& tail, int ranks) {
  for (int i = 0; i < ranks; ++i) {
    if (load(tail, i) != 1.0) return i;
  }
  return -1;
}

}  // namespace panther::comm
