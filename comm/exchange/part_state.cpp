#include "comm/exchange/part_state.h"

#include "comm/exchange/host_state.h"
#include "kernels/pack/pack_kernels.h"

namespace panther::comm {

PartState::PartState(const BucketParts& parts, const char* suffix, bool wanted, Allocator& allocator)
    : parts_(parts), suffix_(suffix),
      memory_(allocator, wanted ? static_cast<std::size_t>(parts.compressed_numel()) * 2 * sizeof(float) : 0, parts.device(), {}) {
  if (enabled()) pack_kernels(parts.device().kind).clear(memory_.data(), static_cast<std::int64_t>(memory_.bytes()), {});
}

TensorView PartState::value_of(const CompressedPart& part) const {
  return TensorView(current(part), DType::f32, {part.member.rows, part.member.columns}, parts_.device());
}

void PartState::save(const StateSink& put) const {
  if (!enabled()) return;
  for (const CompressedPart& part : parts_.compressed()) put_state(put, part.member.name + suffix_, value_of(part));
}

void PartState::load(const StateSource& get) {
  if (!enabled()) return;
  for (const CompressedPart& part : parts_.compressed()) get_state(get, part.member.name + suffix_, value_of(part));
}

}  // namespace panther::comm
