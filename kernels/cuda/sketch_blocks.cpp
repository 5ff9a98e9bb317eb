#include "kernels/cuda/sketch_blocks.h"

#include <optional>

#include "kernels/cuda/dense_sketch.h"
#include "kernels/cuda/entries.h"
#include "kernels/cuda/linear.h"

namespace panther::cuda {
namespace {

constexpr std::size_t kLibraryBytes = std::size_t{32} << 20;

bool is_wide(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

bool pays(const DenseSketch& sketch, const TensorView& x, std::int64_t vectors, std::int64_t elements) {
  const bool exact = sketch.distribution == DenseDistribution::signs || is_wide(x.dtype);
  const bool near = x.strides[0] == 1 || x.strides[1] == 1;
  return exact && near && static_cast<double>(x.numel()) * static_cast<double>(std::min(vectors, elements)) >= kSmallestBlockwiseProducts && elements >= 1024;
}

/// One block of S at a time.
class Blocks {
 public:
  Blocks(const DenseSketch& sketch, std::int64_t vectors, std::int64_t elements, DType dtype, Device device, Allocator& allocator, Stream stream)
      : sketch_(sketch), vectors_(vectors), elements_(elements), size_(sketch_block_elements(vectors, elements, static_cast<std::int64_t>(size_of(dtype)))),
        memory_(allocator, static_cast<std::size_t>(vectors * size_) * size_of(dtype), device, stream), library_(allocator, kLibraryBytes, device, stream),
        whole_(memory_.data(), dtype, {vectors, size_}, device), stream_(stream) {}

  /// body(first element, S_VE of the block).
  template <class Body>
  void each(Body&& body) {
    for (std::int64_t first = 0; first < elements_; first += size_) {
      const std::int64_t count = std::min(size_, elements_ - first);
      const TensorView block = whole_.transposed().slice(0, count).transposed();
      DenseSketch part = sketch_;
      part.first_element += first;
      expand(part, 1.0, block, stream_);
      body(first, block);
    }
  }
  std::span<std::byte> library() const { return {static_cast<std::byte*>(library_.data()), library_.bytes()}; }

 private:
  DenseSketch sketch_;
  std::int64_t vectors_, elements_, size_;
  Workspace memory_, library_;
  TensorView whole_;
  Stream stream_;
};

TensorView columns_of(const TensorView& view, std::int64_t first, std::int64_t count) { return view.transposed().slice(first, count).transposed(); }

}  // namespace

bool project_by_blocks(const DenseSketch& sketch, double alpha, const TensorView& x_BE, double beta, const TensorView& out_BV, Allocator& allocator, Stream stream) {
  const std::int64_t vectors = out_BV.shape[1], elements = x_BE.shape[1];
  if (!pays(sketch, x_BE, vectors, elements)) return false;
  const bool wide = is_wide(x_BE.dtype);
  const DType sum_type = wide ? x_BE.dtype : DType::f32;
  // Sums of the blocks: where the result's own memory cannot hold them exactly.
  std::optional<Workspace> memory;
  TensorView sums = out_BV;
  if (!wide) {
    memory.emplace(allocator, static_cast<std::size_t>(out_BV.numel()) * size_of(sum_type), out_BV.device, stream);
    sums = TensorView(memory->data(), sum_type, {out_BV.shape[0], vectors}, out_BV.device);
    if (beta != 0) cast(out_BV, sums, stream);
  }
  Blocks blocks(sketch, vectors, elements, x_BE.dtype, out_BV.device, allocator, stream);
  bool usable = true;
  blocks.each([&](std::int64_t first, const TensorView& s_VE) {
    if (!usable) return;
    const TensorView x = columns_of(x_BE, first, s_VE.shape[1]);
    const double old = first == 0 ? beta : 1.0;
    if (wide) gemm(alpha, x, s_VE.transposed(), old, sums, {}, blocks.library(), stream);
    else usable = gemm_widening(alpha, x, s_VE.transposed(), old, sums, blocks.library(), stream);
  });
  if (!usable) return false;  // at the first block, so out is untouched
  if (!wide) cast(sums, out_BV, stream);
  return true;
}

bool lift_by_blocks(const DenseSketch& sketch, double alpha, const TensorView& x_BV, double beta, const TensorView& out_BE, Allocator& allocator, Stream stream) {
  const std::int64_t vectors = x_BV.shape[1], elements = out_BE.shape[1];
  if (!pays(sketch, out_BE, vectors, elements) || (x_BV.strides[0] != 1 && x_BV.strides[1] != 1)) return false;
  Blocks blocks(sketch, vectors, elements, x_BV.dtype, out_BE.device, allocator, stream);
  blocks.each([&](std::int64_t first, const TensorView& s_VE) { gemm(alpha, x_BV, s_VE, beta, columns_of(out_BE, first, s_VE.shape[1]), {}, blocks.library(), stream); });
  return true;
}

}  // namespace panther::cuda
