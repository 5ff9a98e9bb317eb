// Truncated SVD of a matrix in a file, on request, so that svd_peers.py can let it take turns with its peers:
//   bench_svd FILE ROWS COLUMNS f32|f64        (raw, row-major)
// Each line on stdin, "THREADS RANGE RANK OVERSAMPLING POWER SKETCH SEED [error]" with RANGE krylov or power, gives one JSON line.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "core/error.h"
#include "core/text.h"
#include "kernels/linalg/residual.h"
#include "kernels/linalg/rsvd.h"
#include "tools/measure/timing.h"

using namespace panther;

namespace {

struct Request {
  int threads = 1;
  std::string range, sketch;
  std::uint64_t seed = 0;
  linalg::RsvdOptions options;
  bool with_error = false;
};

bool read(const std::string& line, Request& request) {
  std::istringstream in(line);
  in >> request.threads >> request.range >> request.options.rank >> request.options.oversampling >> request.options.power_iterations >>
      request.options.sketch >> request.seed;
  request.options.range = request.range == "power" ? linalg::RangeFinder::power : linalg::RangeFinder::krylov;
  std::string word;
  request.with_error = static_cast<bool>(in) && in >> word && word == "error";
  return request.threads > 0 && !request.options.sketch.empty();
}

double relative_residual(const linalg::Context& context, const TensorView& a, const linalg::SvdResult& result) {
  const linalg::Arithmetic maths(context, a.dtype, a.device);
  const std::vector<double> s = maths.download(result.s_K.view());
  const Matrix scaled = maths.copy_of(result.v_NK.view());
  for (std::int64_t j = 0; j < scaled.columns(); ++j) context.kernels.scale(s[static_cast<std::size_t>(j)], scaled.column(j), {});
  return linalg::residual_norm(maths, a, result.u_MK.view(), scaled.view()) / std::sqrt(maths.squared_norm(a));
}

void answer(const Request& request, const TensorView& a) {
  linalg::Context context;
  context.seed = request.seed;
  measure::set_threads(request.threads);
  const double begin = measure::now_seconds();
  const linalg::SvdResult result = linalg::rsvd(context, a, request.options);
  const double seconds = measure::now_seconds() - begin;
  std::cout << "{\"seconds\":" << seconds << ",\"passes\":" << result.passes << ",\"estimate\":" << result.relative_error;
  if (request.with_error) std::cout << ",\"error\":" << relative_residual(context, a, result);
  std::cout << "}" << std::endl;
}

int serve(const char* path, std::int64_t rows, std::int64_t columns, const std::string& dtype_text) {
  const DType dtype = dtype_text == "f32" ? DType::f32 : DType::f64;
  Workspace memory(plain_allocator(), static_cast<std::size_t>(rows * columns) * size_of(dtype), {}, {});
  std::ifstream file(path, std::ios::binary);
  file.read(static_cast<char*>(memory.data()), static_cast<std::streamsize>(memory.bytes()));
  PANTHER_REQUIRE(file.gcount() == static_cast<std::streamsize>(memory.bytes()), path, " is shorter than ", rows, " x ", columns, " ", dtype_text);
  const TensorView a(memory.data(), dtype, {rows, columns});
  for (std::string line; std::getline(std::cin, line);) {
    Request request;
    PANTHER_REQUIRE(read(line, request), "cannot read \"", line, "\"");
    answer(request, a);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: bench_svd FILE ROWS COLUMNS f32|f64, requests on stdin\n", stderr);
    return 64;
  }
  try {
    return serve(argv[1], std::atoll(argv[2]), std::atoll(argv[3]), argv[4]);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_svd: %s\n", error.what());
    return 70;
  }
}
