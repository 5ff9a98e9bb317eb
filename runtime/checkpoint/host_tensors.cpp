#include "runtime/checkpoint/host_tensors.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {

namespace {

constexpr std::size_t kLinesShown = 8;  ///< of tensors that do not fit

std::string shape_text(at::IntArrayRef shape) { return concat("(", join(shape), ")"); }

/// What keeps `stored` from filling `into`: one line per name.
std::vector<std::string> differences(const SafetensorsFile& stored, const NamedTensors& into) {
  std::vector<std::string> lines;
  std::vector<std::string_view> wanted;
  for (const auto& [name, tensor] : into) {
    wanted.push_back(name);
    const SafetensorsEntry* entry = stored.find(name);
    if (entry == nullptr) {
      lines.push_back(concat(name, ": the file has none, the model wants ", shape_text(tensor.sizes())));
    } else if (tensor.sizes() != at::IntArrayRef(entry->shape)) {
      lines.push_back(concat(name, ": the file has ", shape_text(entry->shape), ", the model wants ", shape_text(tensor.sizes())));
    } else if (is_floating(entry->dtype) != tensor.is_floating_point()) {
      lines.push_back(concat(name, ": the file has ", dtype_name(entry->dtype), ", the model wants ", dtype_name(dtype_of(tensor))));
    }
  }
  std::sort(wanted.begin(), wanted.end());
  for (const SafetensorsEntry& entry : stored.entries())
    if (!std::binary_search(wanted.begin(), wanted.end(), entry.name))
      lines.push_back(concat(entry.name, ": the file has ", shape_text(entry.shape), ", the model has none"));
  return lines;
}

/// An owning tensor: the bytes of a file need not be aligned to their dtype.
at::Tensor tensor_from(const SafetensorsEntry& entry) {
  at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(scalar_type_of(entry.dtype)));
  if (!entry.bytes.empty()) std::memcpy(tensor.data_ptr(), entry.bytes.data(), entry.bytes.size());
  return tensor;
}

}  // namespace

NamedTensors copied_to_host(const NamedTensors& tensors) {
  NamedTensors copies;
  copies.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    at::Tensor copy = at::empty(tensor.sizes(), at::TensorOptions().dtype(tensor.scalar_type()));
    copies.emplace_back(name, copy.copy_(tensor.detach()));
  }
  return copies;
}

HostTensors::HostTensors(const NamedTensors& tensors) {
  kept_.reserve(tensors.size());
  entries_.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor& host = kept_.emplace_back(tensor.detach().to(at::kCPU).contiguous());
    entries_.push_back({name, dtype_of(host), host.sizes().vec(), {static_cast<const std::byte*>(host.const_data_ptr()), host.nbytes()}});
  }
}

void load_tensors(const std::filesystem::path& safetensors_file, const NamedTensors& into) {
  const SafetensorsFile file(safetensors_file);
  const std::vector<std::string> lines = differences(file, into);
  PANTHER_REQUIRE(lines.empty(), "'", safetensors_file.string(), "' does not fit this model, ", lines.size(), " of ",
                  std::max(into.size(), file.entries().size()), " tensors differ:\n  ", join_first(lines, kLinesShown, "\n  "),
                  "\nuse the configuration that the checkpoint was trained with (config.toml beside it), or another checkpoint");
  for (const auto& [name, tensor] : into) tensor.detach().copy_(tensor_from(*file.find(name)));
}

std::map<std::string, at::Tensor> read_tensors(const std::filesystem::path& safetensors_file) {
  const SafetensorsFile file(safetensors_file);
  std::map<std::string, at::Tensor> tensors;
  for (const SafetensorsEntry& entry : file.entries()) tensors.emplace(entry.name, tensor_from(entry));
  return tensors;
}

}  // namespace panther::runtime
