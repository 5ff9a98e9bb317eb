#include "kernels/cpu/causal_attention.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile_gemm.h"
#include "kernels/cpu/vectorised.h"
#include "kernels/element/exp.h"

namespace panther::cpu {
namespace {

constexpr std::int64_t kLongest = 256, kWidest = 128;
constexpr std::int64_t kPackFloats = kLongest * kWidest;

/// One head of one sample: matrices of `length` rows.
struct Head {
  AttentionShape shape;
  Strided q, k, v;
  float scale = 1;

  Head(const AttentionShape& all, const float* qkv, std::int64_t index) : shape(all), scale(1.0f / std::sqrt(static_cast<float>(all.head_width))) {
    const std::int64_t sample = index / all.heads, head = index % all.heads, width = all.width();
    const float* first = qkv + sample * all.length * 3 * width + head * all.head_width;
    q = {first, 3 * width, 1};
    k = {first + width, 3 * width, 1};
    v = {first + 2 * width, 3 * width, 1};
  }
};

/// The same head in a matrix (batch, length, heads, head_width).
template <class T>
T* head_of(const AttentionShape& shape, T* data, std::int64_t index) {
  return data + index / shape.heads * shape.length * shape.width() + index % shape.heads * shape.head_width;
}

Strided rows_from(const Strided& matrix, std::int64_t row) { return {matrix.data + row * matrix.row, matrix.row, matrix.column}; }
Strided transposed(const Strided& matrix) { return {matrix.data, matrix.column, matrix.row}; }

/// Columns to compute for `seen` of them: whole vectors of any form, what is beyond is not read.
std::int64_t computed(std::int64_t seen, std::int64_t length) { return std::min(length, (seen + 15) / 16 * 16); }

constexpr std::int64_t kLanes = 16;  ///< independent partial results: reductions in a fixed order that vector code can keep

PANTHER_VECTORISED float largest_of(const float* row, std::int64_t count) {
  float lane[kLanes];
  std::fill(lane, lane + kLanes, row[0]);
  std::int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lane[l] = row[j + l] > lane[l] ? row[j + l] : lane[l];
  }
  for (; j < count; ++j) lane[0] = row[j] > lane[0] ? row[j] : lane[0];
  return *std::max_element(lane, lane + kLanes);
}

PANTHER_VECTORISED float sum_of(const float* row, std::int64_t count) {
  float lane[kLanes] = {};
  std::int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lane[l] += row[j + l];
  }
  for (; j < count; ++j) lane[0] += row[j];
  for (std::int64_t l = 1; l < kLanes; ++l) lane[0] += lane[l];
  return lane[0];
}

PANTHER_VECTORISED float dot(const float* a, const float* b, std::int64_t count) {
  float lane[kLanes] = {};
  std::int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lane[l] += a[j + l] * b[j + l];
  }
  for (; j < count; ++j) lane[0] += a[j] * b[j];
  for (std::int64_t l = 1; l < kLanes; ++l) lane[0] += lane[l];
  return lane[0];
}

PANTHER_VECTORISED void exponentials(float* row, std::int64_t count, float largest) {
  for (std::int64_t j = 0; j < count; ++j) row[j] = exp_minus(largest - row[j]);
}

PANTHER_VECTORISED void multiply(float* row, std::int64_t count, float factor) {
  for (std::int64_t j = 0; j < count; ++j) row[j] *= factor;
}

/// row[0, seen) becomes its softmax, row[seen, end) zero; returns the logarithm of the sum of exponentials.
float softmax_row(float* row, std::int64_t seen, std::int64_t end) {
  const float largest = largest_of(row, seen);
  exponentials(row, seen, largest);
  const float sum = sum_of(row, seen);
  multiply(row, seen, 1.0f / sum);
  std::fill(row + seen, row + end, 0.0f);
  return largest + std::log(sum);
}

/// Scores become weights, and the weights' gradients the scores': p (dp - sum_j p_j dp_j) scale, where the sum is `mean`.
PANTHER_VECTORISED void score_gradients(float* scores, float* gradients, std::int64_t seen, std::int64_t end, float log_sum, float mean, float scale) {
  for (std::int64_t j = 0; j < seen; ++j) {
    const float weight = exp_minus(std::max(log_sum - scores[j], 0.0f));
    scores[j] = weight;
    gradients[j] = weight * (gradients[j] - mean) * scale;
  }
  std::fill(scores + seen, scores + end, 0.0f);
  std::fill(gradients + seen, gradients + end, 0.0f);
}

void attend(const Head& head, float* out, float* log_sum) {
  alignas(64) float key_memory[kPackFloats], value_memory[kPackFloats], weights[kMostTileRows * kLongest];
  const std::int64_t length = head.shape.length, depth = head.shape.head_width, group = tile_row_count();
  const Slivers keys = tile_pack(transposed(head.k), length, depth, key_memory);
  const Slivers values = tile_pack(head.v, depth, length, value_memory);
  for (std::int64_t i = 0; i < length; i += group) {
    const std::int64_t rows = std::min(group, length - i), seen = i + rows;
    tile_rows(rows, head.scale, rows_from(head.q, i), keys, {computed(seen, length), 0, depth}, weights, kLongest);
    for (std::int64_t r = 0; r < rows; ++r) log_sum[i + r] = softmax_row(weights + r * kLongest, i + r + 1, seen);
    tile_rows(rows, 1, {weights, kLongest, 1}, values, {depth, 0, seen}, out + i * head.shape.width(), head.shape.width());
  }
}

/// What backward keeps of one head: 0.9 MiB, too much for the stack of a worker thread (OMP_STACKSIZE).
struct Scratch {
  alignas(64) float keys[kPackFloats];
  alignas(64) float other[kPackFloats];
  alignas(64) float key_rows[kPackFloats];
  alignas(64) float weights[kLongest * kLongest];    ///< rows are queries
  alignas(64) float gradients[kLongest * kLongest];  ///< of the scores
};

struct HeadGradients {
  Strided dout;
  const float* out = nullptr;
  const float* log_sum = nullptr;
  float* dq = nullptr;
  float* dk = nullptr;
  float* dv = nullptr;
};

/// Weights and gradients of the scores by query, and with them dq.
void backward_queries(const Head& head, const HeadGradients& grad, Scratch& scratch) {
  const std::int64_t length = head.shape.length, depth = head.shape.head_width, width = head.shape.width(), group = tile_row_count();
  const Slivers keys = tile_pack(transposed(head.k), length, depth, scratch.keys);
  const Slivers values = tile_pack(transposed(head.v), length, depth, scratch.other);
  const Slivers key_rows = tile_pack(head.k, depth, length, scratch.key_rows);
  for (std::int64_t i = 0; i < length; i += group) {
    const std::int64_t rows = std::min(group, length - i), seen = i + rows;
    float *weights = scratch.weights + i * kLongest, *gradients = scratch.gradients + i * kLongest;
    tile_rows(rows, head.scale, rows_from(head.q, i), keys, {computed(seen, length), 0, depth}, weights, kLongest);
    tile_rows(rows, 1, rows_from(grad.dout, i), values, {computed(seen, length), 0, depth}, gradients, kLongest);
    for (std::int64_t r = 0; r < rows; ++r) {
      const float mean = dot(grad.dout.data + (i + r) * width, grad.out + (i + r) * width, depth);
      score_gradients(weights + r * kLongest, gradients + r * kLongest, i + r + 1, seen, grad.log_sum[i + r], mean, head.scale);
    }
    tile_rows(rows, 1, {gradients, kLongest, 1}, key_rows, {depth, 0, seen}, grad.dq + i * 3 * width, 3 * width);
  }
}

/// result (keys x head_width) = matrix^T right, where key j meets the queries from j on.
void backward_keys(const Head& head, const float* matrix, const Strided& right, float* memory, float* result) {
  const std::int64_t length = head.shape.length, depth = head.shape.head_width, group = tile_row_count();
  const Slivers packed = tile_pack(right, depth, length, memory);
  for (std::int64_t j = 0; j < length; j += group) {
    const Strided columns{matrix + j * kLongest + j, 1, kLongest};
    tile_rows(std::min(group, length - j), 1, columns, packed, {depth, j, length - j}, result + j * 3 * head.shape.width(), 3 * head.shape.width());
  }
}

void attend_backward(const Head& head, const HeadGradients& grad, Scratch& scratch) {
  backward_queries(head, grad, scratch);
  backward_keys(head, scratch.weights, grad.dout, scratch.other, grad.dv);
  backward_keys(head, scratch.gradients, head.q, scratch.other, grad.dk);
}

/// Memory of `count` workers, kept by the calling thread: allocated where an exception may be thrown, and not anew at every call.
Scratch* worker_scratch(std::int64_t count) {
  thread_local std::unique_ptr<Scratch[]> kept;
  thread_local std::int64_t size = 0;
  if (size < count) {
    kept.reset();
    size = 0;
    kept = std::make_unique_for_overwrite<Scratch[]>(static_cast<std::size_t>(count));
    size = count;
  }
  return kept.get();
}

std::int64_t work(const AttentionShape& shape) { return shape.batch * shape.heads * shape.length * shape.length * shape.head_width / 8; }

}  // namespace

bool has_causal_attention(const AttentionShape& shape) noexcept {
  return has_tile_gemm() && shape.length > 0 && shape.length <= kLongest && shape.head_width >= 16 && shape.head_width <= kWidest && shape.head_width % 16 == 0;
}

void causal_attention(const AttentionShape& shape, const float* qkv, float* out, float* log_sum) {
  parallel_for(shape.batch * shape.heads, work(shape), [&](std::int64_t index) {
    attend(Head(shape, qkv, index), head_of(shape, out, index), log_sum + index * shape.length);
  });
}

void causal_attention_backward(const AttentionShape& shape, const float* qkv, const float* out, const float* log_sum, const float* dout, float* dqkv) {
  const std::int64_t heads = shape.batch * shape.heads;
  Scratch* const scratch = worker_scratch(std::min(heads, worker_count()));
  parallel_tasks(heads, work(shape), [&](std::int64_t worker, std::int64_t index) {
    const Head head(shape, qkv, index);
    float* dq = dqkv + (head.q.data - qkv);
    const HeadGradients grad{{head_of(shape, dout, index), shape.width(), 1}, head_of(shape, out, index), log_sum + index * shape.length, dq,
                             dq + shape.width(), dq + 2 * shape.width()};
    attend_backward(head, grad, scratch[worker]);
  });
}

}  // namespace panther::cpu
