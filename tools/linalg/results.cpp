#include "tools/linalg/results.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/file_format/npy.h"
#include "core/file_format/safetensors.h"
#include "tools/linalg/matrix_input.h"
#include "tools/linalg/temporaries.h"

namespace panther::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kBlockBytes = std::int64_t{16} << 20;

std::vector<std::int64_t> shape_of(const TensorView& view) { return {view.shape.begin(), view.shape.begin() + view.dims}; }

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

/// The elements in row-major order, block by block; a vector counts as a matrix of one column.
template <class Append>
void append_rows(const TensorView& view, const Append& append) {
  TensorView matrix = view;
  if (view.dims == 1) {
    matrix.dims = 2;
    matrix.shape[1] = 1;
    matrix.strides[1] = std::max<std::int64_t>(view.shape[0], 1);
  }
  const std::int64_t row_bytes = matrix.shape[1] * static_cast<std::int64_t>(size_of(view.dtype));
  // Pieces of a device's matrix would be read column by column: take it whole.
  const std::int64_t step =
      view.device.kind == DeviceKind::cpu ? std::max<std::int64_t>(1, kBlockBytes / std::max<std::int64_t>(row_bytes, 1)) : matrix.shape[0];
  std::vector<std::byte> block;
  for (std::int64_t first = 0; first < matrix.shape[0]; first += step) {
    const std::int64_t count = std::min(step, matrix.shape[0] - first);
    block.resize(static_cast<std::size_t>(count * row_bytes));
    copy_to_host(matrix.slice(first, count), TensorView(block.data(), view.dtype, {count, matrix.shape[1]}));
    append(std::span<const std::byte>(block));
  }
}

/// A file that is whole under a temporary name, which no signal leaves behind.
class Pending {
 public:
  explicit Pending(const fs::path& path) : file_(path), temporary_(file_.temporary()) {}
  AtomicFile& file() { return file_; }

 private:
  AtomicFile file_;
  Temporary temporary_;
};

std::unique_ptr<Pending> make_pending(const fs::path& path) {
  const SignalsHeld until_it_is_registered;
  return std::make_unique<Pending>(path);
}

void require_room(const fs::path& output, const std::vector<Factor>& factors) {
  std::error_code unknown;
  const fs::space_info space = fs::space(folder_of(output), unknown);
  std::uintmax_t needed = 0;
  for (const Factor& factor : factors) needed += static_cast<std::uintmax_t>(factor.view.bytes());
  if (!unknown && space.available < needed)
    fail(ErrorCode::Io, "the results need ", human_bytes(static_cast<double>(needed)), " and the disk of '", output.string(), "' has ",
         human_bytes(static_cast<double>(space.available)), " left; free space or choose another folder with -o. Nothing was written");
}

std::string shape_text(const TensorView& view) { return join(shape_of(view), " x "); }

}  // namespace

std::vector<fs::path> result_paths(const fs::path& output, const std::vector<std::string>& names) {
  if (output.extension() != ".npy" || names.size() == 1) return {output};
  std::vector<fs::path> paths;
  for (const std::string& name : names) {
    fs::path path = output;
    paths.push_back(path.replace_extension(concat(".", name, ".npy")));
  }
  return paths;
}

void require_writable(const std::vector<fs::path>& paths, bool force) {
  for (const fs::path& path : paths) {
    const fs::path folder = folder_of(path);
    std::error_code ignored;
    if (!fs::is_directory(folder, ignored))
      fail(ErrorCode::Io, "there is no folder '", folder.string(), "' for '", path.string(), "'; create it: mkdir -p '", folder.string(),
           "'");
    if (::access(folder.c_str(), W_OK) != 0)
      fail(ErrorCode::Io, "cannot write into '", folder.string(), "': ", std::strerror(errno), "; choose another folder");
    PANTHER_REQUIRE(!fs::is_directory(path, ignored), "'", path.string(), "' is a folder; name a file");
    PANTHER_REQUIRE(force || !fs::exists(fs::symlink_status(path, ignored)), "'", path.string(),
                    "' exists; add --force to replace it, or choose another name");
  }
}

std::vector<WrittenFile> write_results(const fs::path& output, const std::vector<Factor>& factors, const std::vector<TextFile>& texts) {
  require_room(output, factors);
  std::vector<std::string> names;
  for (const Factor& factor : factors) names.push_back(factor.name);
  const std::vector<fs::path> paths = result_paths(output, names);
  std::vector<std::unique_ptr<Pending>> pending;
  std::vector<WrittenFile> written;
  if (output.extension() == ".npy") {
    for (std::size_t i = 0; i < factors.size(); ++i) {
      pending.push_back(make_pending(paths[i]));
      AtomicFile& file = pending.back()->file();
      file.append(make_npy_header(factors[i].view.dtype, shape_of(factors[i].view), false));
      append_rows(factors[i].view, [&](std::span<const std::byte> bytes) { file.append(bytes); });
      written.push_back({paths[i], shape_text(factors[i].view)});
    }
  } else {
    pending.push_back(make_pending(output));
    AtomicFile& file = pending.back()->file();
    std::vector<SafetensorsEntry> entries;
    std::vector<std::string> shapes;
    for (const Factor& factor : factors) {
      // The preamble needs sizes, not bytes.
      entries.push_back({factor.name,
                         factor.view.dtype,
                         shape_of(factor.view),
                         {static_cast<const std::byte*>(factor.view.data), static_cast<std::size_t>(factor.view.bytes())}});
      shapes.push_back(concat(factor.name, " ", shape_text(factor.view)));
    }
    file.append(make_safetensors_preamble(entries));
    for (const Factor& factor : factors) append_rows(factor.view, [&](std::span<const std::byte> bytes) { file.append(bytes); });
    written.push_back({output, join(shapes)});
  }
  for (const TextFile& each : texts) {
    pending.push_back(make_pending(each.path));
    pending.back()->file().append(each.text);
  }
  for (const auto& each : pending) each->file().flush();
  const SignalsHeld held;
  for (const auto& each : pending) each->file().commit();
  return written;
}

}  // namespace panther::tools
