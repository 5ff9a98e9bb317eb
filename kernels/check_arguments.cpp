#include "kernels/check_arguments.h"

#include "core/error.h"
#include "core/text.h"

namespace panther::check {
namespace {

bool same_shape(const TensorView& a, const TensorView& b) {
  if (a.dims != b.dims) return false;
  for (int d = 0; d < a.dims; ++d) {
    if (a.shape[d] != b.shape[d]) return false;
  }
  return true;
}

void require_matrix(const char* entry, const char* what, const TensorView& view) {
  PANTHER_REQUIRE(view.dims == 2, entry, ": ", what, " must have two dimensions, is ", describe(view));
}

/// Vector indices and block numbers are 32-bit counter words, and an element index must not reach past block 2^32.
void require_counters(const char* entry, std::int64_t first_vector, std::int64_t vectors, std::int64_t first_element, std::int64_t elements) {
  constexpr std::int64_t limit = std::int64_t{1} << 32;
  PANTHER_REQUIRE(first_vector >= 0 && first_vector + vectors <= limit, entry, ": vectors [", first_vector, ", ", first_vector + vectors,
                  ") leave the range of a 32-bit counter");
  PANTHER_REQUIRE(first_element >= 0 && first_element + elements <= limit, entry, ": elements [", first_element, ", ", first_element + elements,
                  ") leave the range of a 32-bit index");
}

}  // namespace

std::string describe(const TensorView& view) {
  std::string shape;
  for (int d = 0; d < view.dims; ++d) shape += (d == 0 ? "" : ", ") + std::to_string(view.shape[d]);
  return std::string(dtype_name(view.dtype)) + "[" + shape + "]";
}

void gemm(const TensorView& a_MK, const TensorView& b_KN, const TensorView& c_MN, const TensorView& bias_N) {
  require_matrix("gemm", "a", a_MK);
  require_matrix("gemm", "b", b_KN);
  require_matrix("gemm", "c", c_MN);
  PANTHER_REQUIRE(a_MK.shape[1] == b_KN.shape[0] && a_MK.shape[0] == c_MN.shape[0] && b_KN.shape[1] == c_MN.shape[1],
                  "gemm: shapes do not fit: a ", describe(a_MK), ", b ", describe(b_KN), ", c ", describe(c_MN));
  PANTHER_REQUIRE(is_floating(c_MN.dtype) && a_MK.dtype == c_MN.dtype && b_KN.dtype == c_MN.dtype,
                  "gemm: a, b and c must be of one floating dtype; a ", describe(a_MK), ", b ", describe(b_KN), ", c ", describe(c_MN));
  if (bias_N.data == nullptr) return;
  PANTHER_REQUIRE(bias_N.dims == 1 && bias_N.shape[0] == c_MN.shape[1] && bias_N.dtype == c_MN.dtype, "gemm: bias ", describe(bias_N),
                  " must be one value per column of c ", describe(c_MN), ", of its dtype");
}

void sign_expand(std::int64_t first_vector, std::int64_t first_element, const TensorView& out_VE) {
  require_matrix("sign_expand", "out", out_VE);
  PANTHER_REQUIRE(is_floating(out_VE.dtype), "sign_expand: out must be floating, is ", describe(out_VE));
  require_counters("sign_expand", first_vector, out_VE.shape[0], first_element, out_VE.shape[1]);
}

void sign_product(const char* entry, const TensorView& x, const TensorView& out, std::int64_t vectors, std::int64_t elements) {
  dense_product(entry, {}, x, out, vectors, elements);
}

void dense_product(const char* entry, const DenseSketch& sketch, const TensorView& x, const TensorView& out, std::int64_t vectors, std::int64_t elements) {
  require_matrix(entry, "x", x);
  require_matrix(entry, "out", out);
  PANTHER_REQUIRE(x.shape[0] == out.shape[0], entry, ": x ", describe(x), " and out ", describe(out), " must have equal rows");
  PANTHER_REQUIRE(is_floating(x.dtype) && x.dtype == out.dtype, entry, ": x ", describe(x), " and out ", describe(out),
                  " must be of one floating dtype");
  require_counters(entry, sketch.first_vector, vectors, sketch.first_element, elements);
}

void cast(const TensorView& source, const TensorView& destination) {
  PANTHER_REQUIRE(same_shape(source, destination), "cast: shapes differ: ", describe(source), " to ", describe(destination));
}

void packed_sum(std::span<const TensorView> sources, const TensorView& destination) {
  PANTHER_REQUIRE(!sources.empty() && sources.size() <= 64, "packed_sum: takes 1 to 64 sources, got ", sources.size());
  PANTHER_REQUIRE(destination.is_contiguous(), "packed_sum: destination must be contiguous");
  for (const TensorView& source : sources) {
    PANTHER_REQUIRE(source.dtype == destination.dtype && source.numel() == destination.numel() && source.is_contiguous(),
                    "packed_sum: source ", describe(source), " must be contiguous and like the destination ", describe(destination));
  }
}

void scale(const TensorView& destination) {
  PANTHER_REQUIRE(is_floating(destination.dtype) && destination.is_contiguous(), "scale: needs a contiguous floating view, got ",
                  describe(destination));
}

void sum_of_squares(std::span<const TensorView> tensors, const TensorView& sum_f64) {
  PANTHER_REQUIRE(sum_f64.dtype == DType::f64 && sum_f64.numel() == 1, "sum_of_squares: the sum must be one f64, is ", describe(sum_f64));
  for (const TensorView& tensor : tensors) {
    PANTHER_REQUIRE(is_floating(tensor.dtype), "sum_of_squares: tensors must be floating, got ", describe(tensor));
  }
}

void optimizer(const char* entry, std::span<const OptimizerTensor> tensors, int moments) {
  for (const OptimizerTensor& t : tensors) {
    PANTHER_REQUIRE((t.parameter.dtype == DType::f32 || t.parameter.dtype == DType::f64) && t.parameter.is_contiguous(), entry,
                    ": the parameter must be contiguous f32 or f64, is ", describe(t.parameter));
    const std::int64_t count = t.parameter.numel();
    PANTHER_REQUIRE(t.gradient.numel() == count && t.gradient.is_contiguous() && t.gradient.dtype == t.parameter.dtype, entry, ": gradient ",
                    describe(t.gradient), " must be contiguous and like its parameter ", describe(t.parameter));
    const TensorView* buffers[] = {&t.first_moment, &t.second_moment};
    for (int i = 0; i < moments; ++i) {
      PANTHER_REQUIRE(buffers[i]->numel() == count && buffers[i]->is_contiguous() && buffers[i]->dtype == t.parameter.dtype, entry, ": moment ",
                      i + 1, " ", describe(*buffers[i]), " must be contiguous and like its parameter ", describe(t.parameter));
    }
  }
}

}  // namespace panther::check
