// What an exchange keeps between steps and beyond them: residuals when codecs change, and checkpoints.
#include "comm/exchange/sender.h"

#include <cstring>
#include <set>

#include "comm/exchange/layout.h"
#include "kernels/philox.h"

namespace panther::comm {
namespace {

/// Where a checkpoint keeps a bucket's choice.
std::string plan_name(const Bucket& bucket) { return "exchange/plan/" + name_of(bucket); }

}  // namespace

void Sender::replan_if_due() {
  if (automatic_ == nullptr || !automatic_->due(step_)) return;
  StepPlan plan = automatic_->decide(step_, choice_, Deadline::after(timeout_));
  plan_text_ = std::move(plan.why);
  if (plan.changed) switch_codecs(plan.choice);
}

void Sender::switch_codecs(const std::vector<int>& choice) {
  std::vector<std::unique_ptr<Codec>> kept(buckets_.size());
  States states;
  std::vector<std::size_t> changed;
  for (Message& message : messages_) {
    if (message.bucket < 0) continue;
    const auto i = static_cast<std::size_t>(message.bucket);
    if (choice[i] == choice_[i]) {
      kept[i] = std::move(message.codec);
      continue;
    }
    changed.push_back(i);
    message.codec->save_state([&](const std::string& name, const TensorView& value) {
      if (!name.ends_with(kResidual)) return;
      const auto* bytes = static_cast<const std::byte*>(value.data);
      states[name].assign(bytes, bytes + value.bytes());
    });
  }
  choice_ = choice;
  assemble(std::move(kept));
  for (const std::size_t i : changed) hand_over(i, states);
}

void Sender::hand_over(std::size_t index, const States& states) {
  std::set<std::string> taken;
  messages_[index].codec->load_state([&](const std::string& name, const TensorView& value) {
    const auto found = states.find(name);
    if (found == states.end() || static_cast<std::int64_t>(found->second.size()) != value.bytes()) return false;
    std::memcpy(value.data, found->second.data(), found->second.size());
    taken.insert(name);
    return true;
  });
  const Bucket& bucket = plan_.buckets[index];
  for (const CodecMember& member : layout_of(bucket, buckets_[index], 0, 1).members) {
    const auto found = states.find(member.name + kResidual);
    if (found == states.end() || taken.contains(found->first)) continue;
    carried_.add(member, buckets_[index], found->second.data());
  }
}

void Sender::save_state(const StateSink& put) {
  settle(true);
  put("exchange/step", TensorView(&step_, DType::i64, {1}));
  std::int64_t holders = state_holders();
  if (levels_ != nullptr) put("exchange/holders", TensorView(&holders, DType::i64, {1}));
  for (const Message& message : messages_) message.codec->save_state(put);
  if (automatic_ == nullptr) return;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    std::int64_t choice = choice_[i];
    put(plan_name(plan_.buckets[i]), TensorView(&choice, DType::i64, {1}));
  }
  automatic_->save_state(put);
  carried_.save(put);
}

/// Codecs as the checkpoint had them, where it knows all buckets.
void Sender::load_plan(const StateSource& get) {
  carried_.clear();
  std::vector<int> choice;
  for (const Bucket& bucket : plan_.buckets) {
    std::int64_t saved = -1;
    if (!get(plan_name(bucket), TensorView(&saved, DType::i64, {1})) || saved < 0 || saved >= static_cast<std::int64_t>(candidates_.size())) return;
    choice.push_back(static_cast<int>(saved));
  }
  choice_ = choice;
  assemble(std::vector<std::unique_ptr<Codec>>(buckets_.size()));
  automatic_->resume(step_, get);
}

void Sender::load_state(const StateSource& get) {
  settle(true);
  if (!get("exchange/step", TensorView(&step_, DType::i64, {1}))) step_ = 0;
  if (automatic_ != nullptr) {
    automatic_->forget_requests();
    load_plan(get);
  }
  std::uint64_t shared = 0;
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    std::set<std::string> taken;
    messages_[i].codec->load_state([&](const std::string& name, const TensorView& value) {
      taken.insert(name);
      return get(name, value);
    });
    shared = mix64(shared, messages_[i].codec->shared_digest());
    if (automatic_ == nullptr || messages_[i].bucket < 0) continue;
    for (const CodecMember& member : layout_of(plan_.buckets[i], buckets_[i], 0, 1).members) {
      if (member.rows < 2 || taken.contains(member.name + kResidual)) continue;
      std::vector<float> residual(static_cast<std::size_t>(member.numel));
      if (get(member.name + kResidual, TensorView(residual.data(), DType::f32, {member.numel}))) carried_.add(member, buckets_[i], residual.data());
    }
  }
  for (const int choice : choice_) shared = mix64(shared, static_cast<std::uint64_t>(choice));
  if (levels_ != nullptr) {
    const std::int64_t own[] = {static_cast<std::int64_t>(shared)};
    shared = static_cast<std::uint64_t>(levels_->tell(own, lane_->stream(), Deadline::after(timeout_)).front());
  }
  // Ranks at other steps would issue other collectives, and with other factors sum what does not belong together.
  require_equal_digests(collective_, {{"the committed steps of the codec's state", static_cast<std::uint64_t>(step_)},
                                      {"the factors in the codec's state", shared}}, Deadline::after(timeout_));
}

}  // namespace panther::comm
