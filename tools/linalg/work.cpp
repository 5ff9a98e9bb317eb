#include "tools/linalg/work.h"

#include "core/error.h"
#include "kernels/kernel_set.h"

namespace panther::tools {

void Outcome::add(std::string name, Matrix matrix) {
  matrices_.push_back(std::move(matrix));
  factors_.push_back({std::move(name), matrices_.back().view()});
}

void Outcome::add_transposed(std::string name, Matrix matrix) {
  matrices_.push_back(std::move(matrix));
  factors_.push_back({std::move(name), matrices_.back().view().transposed()});
}

const TensorView& Outcome::view(const std::string& name) const {
  for (const Factor& factor : factors_)
    if (factor.name == name) return factor.view;
  fail(ErrorCode::Internal, "no factor '", name, "'");
}

void Outcome::add_vector(std::string name, Matrix one_column) {
  matrices_.push_back(std::move(one_column));
  factors_.push_back({std::move(name), matrices_.back().column(0)});
}

void Outcome::add_indices(std::string name, std::vector<std::int64_t> indices) {
  indices_.push_back(std::move(indices));
  factors_.push_back(
      {std::move(name), TensorView(indices_.back().data(), DType::i64, {static_cast<std::int64_t>(indices_.back().size())})});
}

Matrix Work::load() const {
  progress.part("read", 0, 0.1);
  Matrix matrix = a.load(context.allocator, device);
  progress.part("decompose", 0.1, request.check ? 0.8 : 0.95);
  return matrix;
}

std::int64_t Work::rank_at_most(std::int64_t most, const char* what) const {
  PANTHER_REQUIRE(*request.rank <= most, "--rank ", *request.rank, " of a ", a.rows(), " x ", a.columns(), " matrix: at most ", most, " (",
                  what, ")");
  return *request.rank;
}

std::function<void(double)> Work::begin_check() const {
  progress.part("check", 0.8, 0.95);
  return [this](double share) { progress.tell("true error", share); };
}

std::vector<double> to_doubles(const TensorView& vector) {
  std::vector<double> values(static_cast<std::size_t>(vector.numel()));
  copy_to_host(vector, TensorView(values.data(), DType::f64, {vector.shape[0]}));
  return values;
}

TensorView on_host(const TensorView& view, std::list<Matrix>& keep) {
  if (view.device.kind == DeviceKind::cpu) return view;
  keep.emplace_back(plain_allocator(), Device{}, Stream{}, view.dtype, view.shape[0], view.shape[1]);
  copy_to_host(view, keep.back().view());
  return keep.back().view();
}

std::vector<std::string> factor_names(const LinalgRequest& request) {
  if (request.command == "svd") return {"u", "s", "vt"};
  if (request.command == "qr")
    return request.method == "cqrrt" ? std::vector<std::string>{"q", "r"} : std::vector<std::string>{"q", "r", "pivots"};
  if (request.command == "lstsq") return {"x"};
  if (request.command == "id") return {"columns", "t"};
  if (request.command == "cur") return {"columns", "rows", "c", "u", "r"};
  if (request.command == "nystrom") return {"v", "w"};
  return {"sketch"};
}

}  // namespace panther::tools
