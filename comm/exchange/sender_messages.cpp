// What a step of the exchange sends: messages with codecs, memory and checks, made anew when codecs change.
#include "comm/exchange/sender.h"

#include "comm/exchange/layout.h"
#include "core/error.h"

namespace panther::comm {

BucketLimits bucket_limits(const ExchangeConfig& config, int ranks) {
  BucketLimits limits{.first_bytes = config.first_bucket_bytes, .bucket_bytes = config.bucket_bytes, .last_bytes = config.last_bucket_bytes};
  if (ranks == 1) return limits;
  limits.parts = ranks;
  limits.first_tail = control_elements(ranks);
  limits.other_tail = config.checked ? ranks : 0;
  return limits;
}

void Sender::assemble(std::vector<std::unique_ptr<Codec>> kept) {
  lane_->synchronize();  // what goes may be in use, and what comes is made on another stream than it works on
  messages_.clear();
  fixed_ = {};
  add_buckets(std::move(kept));
  lane_->synchronize();
  if (config_.checked) add_integrity();
  ledger_ = fixed_;
}

void Sender::add_integrity() {
  std::vector<std::int64_t> checks, by_message;
  for (Message& message : messages_) {
    PANTHER_REQUIRE(message.bucket < 0 || !plan_.buckets[static_cast<std::size_t>(message.bucket)].scattered,
                    "checked mode compares sums that all ranks hold, and bucket ", message.bucket, " leaves each rank its part alone; switch one of them off");
    message.first_check = checks.size();
    checks.insert(checks.end(), message.stages.size(), message.bucket);
    by_message.push_back(message.bucket);
  }
  const auto add = [this](const Integrity& integrity, bool inside) {
    fixed_.bytes_sent += integrity.bytes_sent();
    if (inside) fixed_.bytes_inside += integrity.bytes_sent();
    ++fixed_.collectives;
  };
  if (encodes()) {
    integrity_ = levels_ == nullptr ? std::make_unique<Integrity>(*peers_, *lane_, std::move(checks))
                                    : std::make_unique<Integrity>(*peers_, *lane_, std::move(checks), levels_->leaders(), " between nodes");
    add(*integrity_, false);
  }
  if (levels_ == nullptr) return;
  levels_->watch(*lane_, by_message);
  add(*levels_->integrity(), true);
  ends_ = std::make_unique<Integrity>(collective_, *lane_, std::move(by_message), std::vector<int>{}, " after both levels");
  add(*ends_, false);
  // Whether a group found something: an integer of every rank.
  fixed_.bytes_sent += static_cast<std::int64_t>(sizeof(std::int64_t)) * (collective_.size() - 1);
  ++fixed_.collectives;
}

std::unique_ptr<Codec> Sender::codec_for(std::size_t index) const {
  const Candidate& candidate = candidates_[static_cast<std::size_t>(choice_[index])];
  const Bucket& bucket = plan_.buckets[index];
  PANTHER_REQUIRE(!bucket.scattered || levels_ == nullptr, "bucket ", index, " leaves each rank its part of the sum alone, which two levels (comm.hierarchy) do not give; switch one of them off");
  // A node's followers have no use for it, but learn as the leaders do what does not fit.
  const int peers = levels_ == nullptr ? collective_.size() : state_holders();
  std::unique_ptr<Codec> codec = codecs_.at(candidate.codec).make(layout_of(bucket, buckets_[index], encodes() ? peers_->rank() : 0, peers), candidate.settings, allocator_);
  PANTHER_REQUIRE(codec != nullptr, "the exchange '", candidate.codec, "' made no codec");
  PANTHER_REQUIRE(levels_ == nullptr || codec->keeps_bytes(), "the exchange '", candidate.codec, "' has no place for the control word, which two levels (comm.hierarchy) need");
  PANTHER_REQUIRE(!bucket.scattered || codec->plan(step_).front().kind == Stage::Kind::reduce_scatter, "the exchange '", candidate.codec,
                  "' cannot leave a sum in parts, one on each rank, because it does not add what it encodes element by element; use none or half");
  if (encodes()) return codec;
  return codec_registry().at("none").make(layout_of(bucket, buckets_[index], 0, 1), config_.settings, allocator_);
}

void Sender::add_buckets(std::vector<std::unique_ptr<Codec>> kept) {
  const int ranks = collective_.size();
  bool control_rides = false;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    Message message;
    message.bucket = static_cast<std::int64_t>(i);
    message.memory = buckets_[i];
    message.report.codec = candidates_[static_cast<std::size_t>(choice_[i])].name;
    message.codec = std::move(kept[i]);
    if (message.codec == nullptr) message.codec = codec_for(i);
    const bool keeps_bytes = message.codec->keeps_bytes();
    const std::int64_t tail = plan_.buckets[i].tail;
    if (i == 0 && tail >= control_elements(ranks) && keeps_bytes) {
      message.tail_kind = Tail::control;
      control_rides = true;
    } else if (config_.checked && keeps_bytes) {
      PANTHER_REQUIRE(tail >= ranks, "checked mode counts contributions behind every bucket: bucket ", i, " has room for ", tail, " elements and ",
                      ranks, " are needed; plan with bucket_limits()");
      message.tail_kind = Tail::presence;
    }
    std::int64_t gradients = 0;
    for (const BucketMember& member : plan_.buckets[i].members) gradients += member.numel;
    fixed_.bytes_dense_f32 += collective_.all_reduce_bytes_sent(4 * gradients);
    add_message(std::move(message), tail);
  }
  control_message_ = 0;
  control_memory_.reset();
  if (control_rides) return;
  Message alone;
  const std::int64_t elements = control_elements(ranks);
  control_memory_ = std::make_unique<Workspace>(allocator_, static_cast<std::size_t>(elements) * sizeof(float), device(), Stream{});
  alone.memory = TensorView(control_memory_->data(), DType::f32, {elements}, device());
  alone.codec = codec_registry().at("none").make({.bucket = alone.memory, .members = {}, .tail = elements, .rank = collective_.rank(), .ranks = ranks},
                                                 config_.settings, allocator_);
  alone.tail_kind = Tail::control;
  control_message_ = messages_.size();
  add_message(std::move(alone), elements);
}

void Sender::add_message(Message message, std::int64_t tail) {
  message.stages = stages_of(message);
  for (const Stage& stage : message.stages) {
    const std::size_t bytes = static_cast<std::size_t>(received_count(stage)) * size_of(stage.dtype);
    message.received.push_back(stage.kind == Stage::Kind::all_reduce ? nullptr : std::make_unique<Workspace>(allocator_, bytes, message.memory.device, Stream{}));
  }
  const std::int64_t start = message.memory.numel() - tail;
  message.tail = message.memory.slice(start, tail);
  if (message.tail_kind != Tail::none) message.host_tail = OwnedHostBlock(*lane_, static_cast<std::size_t>(message.tail.bytes()));
  messages_.push_back(std::move(message));
}

}  // namespace panther::comm
