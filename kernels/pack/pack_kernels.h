#pragma once
// Kernels of gradient compression: packed low-bit elements, low-rank factors, selections; with error feedback fused in.
//
// All memory is contiguous f32 on the set's device unless said otherwise, and 4-byte aligned. `residual` is what earlier steps left (null: none);
// v = gradient + residual. Results do not depend on the number of threads and on a device are the same at every run; nothing is allocated. CUDA entries
// queue on the stream and return; nothing of theirs waits for the host, so that a CUDA graph can hold them.
//
// `alarm` (null: nobody asks) is one f32 that is 0 before: it becomes nan where v holds nan or inf anywhere, else it stays.
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/export.h"
#include "kernels/philox.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace panther {

struct QuantizeFormat {
  int bits = 4;                  ///< 1 to 8
  std::int64_t block = 512;      ///< elements per scale; a multiple of 8
};

/// Bytes of `count` quantised elements: the f32 scales, then the codes, 8 codes in `bits` bytes, lowest first; padded to 64.
PANTHER_KERNELS_API std::int64_t quantized_bytes(const QuantizeFormat& format, std::int64_t count);
PANTHER_KERNELS_API std::int64_t quantize_blocks(const QuantizeFormat& format, std::int64_t count);

struct QuantizeArguments {
  QuantizeFormat format;
  const float* gradient = nullptr;
  const float* residual = nullptr;   ///< may be null
  float* next = nullptr;             ///< v - decoded; null: not wanted, and then residual is null too
  std::int64_t count = 0;
  std::byte* packed = nullptr;       ///< quantized_bytes() long; its padding is written too
  bool stochastic = false;
  std::uint64_t key = 0;             ///< of stochastic rounding; counter = (element, step)
  std::uint64_t step = 0;
};

/// Low-rank kernels hold factors by columns: factor[r * length + i].
struct ProjectArguments {
  const float* gradient = nullptr;   ///< M x N
  const float* residual = nullptr;   ///< M x N or null
  float* sum = nullptr;              ///< v, M x N; may be null when residual is
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t rank = 0;
  const float* factor_RN = nullptr;
  float* projected_RM = nullptr;     ///< v factor^T
};

/// Columns made orthonormal in place: Cholesky QR twice with the Gram matrix in f64 (CholeskyQR2, Fukaya et al., ScalA 2014). A column that depends on those
/// before it (relative distance below 1e-5) becomes zero or, with `complete`, starts again at random: uniform by (key, step, column, element).
struct OrthonormalizeArguments {
  float* factor_RM = nullptr;
  std::int64_t rows = 0;             ///< M
  std::int64_t rank = 0;
  double* scratch_RR = nullptr;      ///< rank^2 + 1
  bool complete = false;
  std::uint64_t key = 0;
  std::int64_t step = 0;
};

struct TopKArguments {
  const float* gradient = nullptr;
  const float* residual = nullptr;   ///< may be null
  float* next = nullptr;             ///< v with zeros where it was selected
  std::int64_t count = 0;            ///< below 2^32
  std::int64_t k = 0;                ///< 1 to count
  std::uint32_t* indices = nullptr;  ///< k, ascending
  float* values = nullptr;           ///< v at them
  std::uint32_t* scratch = nullptr;  ///< kTopKScratch long
};
inline constexpr std::int64_t kTopKSegments = 16;
inline constexpr std::int64_t kTopKScratch = kTopKSegments * 2048;

/// One element of every `stride` consecutive ones (kernels/element/sample.h).
struct SampleArguments {
  const float* gradient = nullptr;
  const float* residual = nullptr;   ///< may be null
  float* next = nullptr;             ///< v with zeros where it was chosen; null: not wanted, and then residual is null too
  std::int64_t count = 0;
  std::int64_t stride = 0;           ///< below 2^31
  std::uint64_t key = 0;
  std::uint64_t step = 0;
  bool unbiased = false;             ///< multiply by the group's size, the inverse of the probability
  float* values = nullptr;           ///< ceil(count / stride)
  float* alarm = nullptr;
};

/// A random orthogonal transform: signs, then the orthonormal Walsh-Hadamard transform of pieces of 4096 elements and, at the end, of the powers of two that
/// are left. Signs by (key, step, element).
struct RotateArguments {
  const float* in = nullptr;
  const float* residual = nullptr;   ///< added to `in` first; may be null
  float* out = nullptr;              ///< may be `in` or `residual`
  std::int64_t count = 0;
  std::uint64_t key = 0;
  std::uint64_t step = 0;
  bool inverse = false;
  float* alarm = nullptr;            ///< of the result
};

/// rows x columns cells. Row j adds s_j(i) v[i] to cell h_j(i): blocks of kCountSketchBlock elements keep together (a cell meets elements of equal place in their
/// blocks only), so that adding is a vector operation. Hashes and signs by (key, step, row, block).
struct CountSketch {
  std::int64_t rows = 3;             ///< 1, 3 or 5
  std::int64_t columns = 0;          ///< a multiple of kCountSketchBlock, below 2^37
  std::uint64_t key = 0;
  std::uint64_t step = 0;
};
inline constexpr std::int64_t kCountSketchBlock = 64;
inline constexpr int kCountSketchMostRows = 5;
/// Sources that dequantize_sum takes in one call.
inline constexpr std::size_t kMostQuantizedSources = 64;
inline constexpr std::int64_t kEnergyScratch = 512;

struct CountSketchInsert {
  CountSketch sketch;
  const float* gradient = nullptr;
  const float* residual = nullptr;   ///< may be null
  float* sum = nullptr;              ///< v; none of the inputs
  std::int64_t count = 0;
  float* cells = nullptr;            ///< overwritten
  std::uint32_t* scratch = nullptr;  ///< count_sketch_scratch() long; the CPU needs none
};
/// Elements of CountSketchInsert::scratch.
PANTHER_KERNELS_API std::int64_t count_sketch_scratch(const CountSketch& sketch, std::int64_t count);

struct PackKernels {
  /// Deterministic: level = nearest of v / step with a step between the one that clips nothing (max |v| / L) and the best for a
  /// normal distribution, whichever leaves less; then scale = <v, level> / <level, level>, so that the error is
  /// ||v||^2 (1 - cos^2(v, level)): contractive for every input. One bit: scale = ||v||_1 / count (signSGD with error feedback,
  /// arXiv 1901.09847). Stochastic: scale = max |v| / L and unbiased rounding (QSGD with the maximum norm, arXiv 1610.02132;
  /// TernGrad for two bits). A block with nan or inf gets a nan scale.
  void (*quantize)(const QuantizeArguments& arguments, Stream stream) = nullptr;
  /// out[i] (+ what it was, with `add`) = sum over at most kMostQuantizedSources sources, in their order, of the decoded element.
  void (*dequantize_sum)(const QuantizeFormat& format, std::span<const std::byte* const> sources, std::int64_t count, bool add, float* out,
                         Stream stream) = nullptr;

  void (*project)(const ProjectArguments& arguments, Stream stream) = nullptr;
  /// projected_RN = factor_RM v_MN.
  void (*project_transposed)(const float* v_MN, std::int64_t rows, std::int64_t columns, std::int64_t rank, const float* factor_RM,
                             float* projected_RN, Stream stream) = nullptr;
  /// product = left^T right, M x N. destination = product (may be null); next -= share * product (may be null).
  void (*low_rank_update)(const float* left_RM, const float* right_RN, std::int64_t rows, std::int64_t columns, std::int64_t rank,
                          float* destination, float share, float* next, Stream stream) = nullptr;
  /// The same bits on every processor and on every GPU.
  void (*orthonormalize)(const OrthonormalizeArguments& arguments, Stream stream) = nullptr;
  /// out[0] = tr G and out[1] = ||G||_F^2 of the Gram matrix G of the factor's columns: the sums of the squares and of the fourth powers of its singular values.
  void (*spectrum)(const float* factor_RM, std::int64_t rows, std::int64_t rank, double* out, Stream stream) = nullptr;

  /// The k elements of largest magnitude (nan above inf), ties to the lower index.
  void (*top_k)(const TopKArguments& arguments, Stream stream) = nullptr;
  /// Elements by index, all different: out[j] = values[i_j], which become zero there with `clear`; values[i_j] (+)= in[j]. An index of `count` or more is
  /// skipped and raises the alarm.
  void (*take_elements)(float* values, const std::uint32_t* indices, std::int64_t k, bool clear, float* out, Stream stream) = nullptr;
  void (*put_elements)(const float* in, const std::uint32_t* indices, std::int64_t k, bool add, std::int64_t count, float* values, float* alarm,
                       Stream stream) = nullptr;

  void (*sample)(const SampleArguments& arguments, Stream stream) = nullptr;
  /// out = values at the chosen elements, zero elsewhere.
  void (*place)(const float* values, std::int64_t count, std::int64_t stride, std::uint64_t key, std::uint64_t step, float* out, Stream stream) = nullptr;

  /// out = keep mean + (1 - keep) gradient.
  void (*running_mean)(float keep, const float* mean, const float* gradient, std::int64_t count, float* out, Stream stream) = nullptr;

  void (*rotate)(const RotateArguments& arguments, Stream stream) = nullptr;

  void (*count_sketch_insert)(const CountSketchInsert& arguments, Stream stream) = nullptr;
  /// out[i] = median over rows of s_j(i) cells[j, h_j(i)]: unbiased for one row, with variance about ||v||^2 / columns (Charikar, Chen, Farach-Colton 2002).
  void (*count_sketch_estimate)(const CountSketch& sketch, const float* cells, std::int64_t count, float* out, Stream stream) = nullptr;

  /// Bit i%8 of byte i/8: row i holds a bit that is not zero.
  void (*touched_rows)(const float* values_MN, std::int64_t rows, std::int64_t columns, std::uint8_t* bitmap, Stream stream) = nullptr;
  /// `count` rows one after another, and back; other rows stay. `rows` is on the device too.
  void (*gather_rows)(const float* values_MN, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* packed, Stream stream) = nullptr;
  void (*scatter_rows)(const float* packed, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* values_MN, Stream stream) = nullptr;

  /// Raises the alarm where `values` hold nan or inf.
  void (*watch)(const float* values, std::int64_t count, float* alarm, Stream stream) = nullptr;
  /// Raises the alarm where one of `blocks` scales of a quantised message is nan or inf.
  void (*watch_scales)(const std::byte* packed, std::int64_t blocks, float* alarm, Stream stream) = nullptr;
  /// *sum += ||v||^2, in a fixed order. `scratch` is kEnergyScratch long.
  void (*add_energy)(const float* gradient, const float* residual, std::int64_t count, double* sum, double* scratch, Stream stream) = nullptr;
  /// values *= min(1, bound sqrt(*reference / *energy)), where `energy` is ||values||^2 or that of a larger vector they are a part of; as they are where
  /// *reference is 0.
  void (*limit_energy)(float* values, std::int64_t count, const double* energy, const double* reference, double bound, Stream stream) = nullptr;
  /// `bytes` zeros.
  void (*clear)(void* memory, std::int64_t bytes, Stream stream) = nullptr;
};

/// Throws Unsupported with why_no_cuda() where a device has none.
PANTHER_KERNELS_API const PackKernels& pack_kernels(DeviceKind device);
/// CUDA's.
const PackKernels& cuda_pack_kernels();

namespace cpu {
void quantize(const QuantizeArguments& arguments, Stream stream);
void dequantize_sum(const QuantizeFormat& format, std::span<const std::byte* const> sources, std::int64_t count, bool add, float* out, Stream stream);
void project(const ProjectArguments& arguments, Stream stream);
void project_transposed(const float* v_MN, std::int64_t rows, std::int64_t columns, std::int64_t rank, const float* factor_RM, float* projected_RN,
                        Stream stream);
void low_rank_update(const float* left_RM, const float* right_RN, std::int64_t rows, std::int64_t columns, std::int64_t rank, float* destination,
                     float share, float* next, Stream stream);
void orthonormalize(const OrthonormalizeArguments& arguments, Stream stream);
void spectrum(const float* factor_RM, std::int64_t rows, std::int64_t rank, double* out, Stream stream);
void top_k(const TopKArguments& arguments, Stream stream);
void take_elements(float* values, const std::uint32_t* indices, std::int64_t k, bool clear, float* out, Stream stream);
void put_elements(const float* in, const std::uint32_t* indices, std::int64_t k, bool add, std::int64_t count, float* values, float* alarm,
                  Stream stream);
void sample(const SampleArguments& arguments, Stream stream);
void place(const float* values, std::int64_t count, std::int64_t stride, std::uint64_t key, std::uint64_t step, float* out, Stream stream);
void running_mean(float keep, const float* mean, const float* gradient, std::int64_t count, float* out, Stream stream);
void rotate(const RotateArguments& arguments, Stream stream);
void count_sketch_insert(const CountSketchInsert& arguments, Stream stream);
void count_sketch_estimate(const CountSketch& sketch, const float* cells, std::int64_t count, float* out, Stream stream);
void touched_rows(const float* values_MN, std::int64_t rows, std::int64_t columns, std::uint8_t* bitmap, Stream stream);
void gather_rows(const float* values_MN, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* packed, Stream stream);
void scatter_rows(const float* packed, std::int64_t columns, const std::int64_t* rows, std::int64_t count, float* values_MN, Stream stream);
void watch(const float* values, std::int64_t count, float* alarm, Stream stream);
void watch_scales(const std::byte* packed, std::int64_t blocks, float* alarm, Stream stream);
void add_energy(const float* gradient, const float* residual, std::int64_t count, double* sum, double* scratch, Stream stream);
void limit_energy(float* values, std::int64_t count, const double* energy, const double* reference, double bound, Stream stream);
void clear(void* memory, std::int64_t bytes, Stream stream);
}  // namespace cpu

}  // namespace panther
