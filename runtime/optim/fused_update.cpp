#include "runtime/optim/fused_update.h"

#include <unordered_set>

#include "core/error.h"
#include "runtime/tensor/view_of.h"

namespace panther::runtime {
namespace {

void check(const ParameterInfo& parameter, const ParameterInfo& first, std::unordered_set<std::string>& names) {
  const at::Tensor& tensor = parameter.tensor;
  PANTHER_REQUIRE(tensor.defined(), "the parameter '", parameter.name, "' has no tensor");
  PANTHER_REQUIRE(names.insert(parameter.name).second, "two parameters are named '", parameter.name, "': names key the optimizer's state");
  PANTHER_REQUIRE(tensor.is_contiguous(), "the parameter '", parameter.name, "' is not contiguous");
  PANTHER_REQUIRE(tensor.device() == first.tensor.device(), "the parameter '", parameter.name, "' is on ", tensor.device().str(), " and '",
                  first.name, "' on ", first.tensor.device().str(), ": one optimizer updates one device");
  if (tensor.scalar_type() != at::kFloat && tensor.scalar_type() != at::kDouble) {
    fail(ErrorCode::Unsupported, "the parameter '", parameter.name, "' is ", c10::toString(tensor.scalar_type()),
         "; parameters are f32 or f64 (compute in bf16 through autocast instead)");
  }
}

}  // namespace

FusedUpdate::FusedUpdate(std::vector<ParameterInfo> parameters, double weight_decay, int moments) : weight_decay_(weight_decay) {
  std::unordered_set<std::string> names;
  slots_.reserve(parameters.size());
  for (ParameterInfo& parameter : parameters) {
    check(parameter, slots_.empty() ? parameter : slots_.front().info, names);
    Slot& slot = slots_.emplace_back();
    slot.info = std::move(parameter);
    for (int m = 0; m < moments; ++m) slot.moments.push_back(at::zeros(slot.info.tensor.sizes(), slot.info.tensor.options().requires_grad(false)));
    slot.views.weight_decay = slot.info.decay ? weight_decay_ : 0.0;
    if (moments > 0) slot.views.first_moment = view_of(slot.moments[0]);
    if (moments > 1) slot.views.second_moment = view_of(slot.moments[1]);
  }
}

bool FusedUpdate::refresh_gradient(Slot& slot) {
  const at::Tensor& gradient = slot.info.tensor.grad();
  if (!gradient.defined()) return false;
  if (gradient.is_contiguous() && gradient.const_data_ptr() == slot.views.gradient.data) return true;
  PANTHER_REQUIRE(gradient.layout() == at::kStrided && gradient.sizes() == slot.info.tensor.sizes() &&
                      gradient.scalar_type() == slot.info.tensor.scalar_type(),
                  "the gradient of '", slot.info.name, "' has another shape, layout or type than the parameter");
  slot.gradient_copy = gradient.is_contiguous() ? at::Tensor() : gradient.detach().contiguous();
  slot.views.gradient = view_of(slot.gradient_copy.defined() ? slot.gradient_copy : gradient);
  return true;
}

std::span<const OptimizerTensor> FusedUpdate::refresh(double lr) {
  list_.clear();
  listed_.clear();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!refresh_gradient(slot)) continue;
    if (slot.views.parameter.data != slot.info.tensor.const_data_ptr()) slot.views.parameter = view_of(slot.info.tensor);
    slot.views.lr = lr * slot.info.lr_scale;
    list_.push_back(slot.views);
    listed_.push_back(i);
  }
  return list_;
}

void FusedUpdate::mark_written() {
  for (const std::size_t i : listed_) slots_[i].info.tensor.unsafeGetTensorImpl()->bump_version();
}

NamedTensors FusedUpdate::state(const std::vector<std::string>& suffixes) const {
  NamedTensors result;
  for (const Slot& slot : slots_) {
    for (std::size_t m = 0; m < slot.moments.size(); ++m) result.emplace_back(slot.info.name + "." + suffixes.at(m), slot.moments[m]);
  }
  return result;
}

const KernelSet& FusedUpdate::kernels() const {
  return runtime_kernels(!slots_.empty() && slots_.front().info.tensor.is_cuda() ? DeviceKind::cuda : DeviceKind::cpu);
}

Stream FusedUpdate::stream() const {
  if (slots_.empty() || !slots_.front().info.tensor.is_cuda()) return {};
  return current_stream({DeviceKind::cuda, static_cast<int>(slots_.front().info.tensor.get_device())});
}

}  // namespace panther::runtime
