#include "comm/exchange/sender.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>

#include "comm/exchange/control_tail.h"
#include "comm/exchange/layout.h"
#include "comm/gather_integers.h"
#include "core/error.h"
#include "kernels/philox.h"

namespace panther::comm {
namespace {

constexpr const char* kResidual = "/residual";

Device device_of(const std::vector<TensorView>& buckets, const Collective& collective) {
  return buckets.empty() ? Device{collective.device(), 0} : buckets.front().device;
}

void check_memory(const BucketPlan& plan, const std::vector<TensorView>& buckets) {
  PANTHER_REQUIRE(plan.buckets.size() == buckets.size(), "the plan has ", plan.buckets.size(), " buckets, memory was given for ", buckets.size());
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const Bucket& bucket = plan.buckets[i];
    const TensorView& memory = buckets[i];
    PANTHER_REQUIRE(memory.dims == 1 && memory.is_contiguous() && memory.dtype == bucket.dtype && memory.numel() == bucket.numel,
                    "the memory of bucket ", i, " must be ", bucket.numel, " contiguous elements of ", dtype_name(bucket.dtype), "; got ",
                    memory.numel(), " of ", dtype_name(memory.dtype));
    PANTHER_REQUIRE(memory.device == buckets.front().device, "all buckets must live on one device; bucket ", i, " does not");
  }
}

/// Where a checkpoint keeps a bucket's choice.
std::string plan_name(const Bucket& bucket) { return "exchange/plan/" + (bucket.members.empty() ? std::string() : bucket.members.front().name); }

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

BucketLimits bucket_limits(const ExchangeConfig& config, int ranks) {
  BucketLimits limits{.first_bytes = config.first_bucket_bytes, .bucket_bytes = config.bucket_bytes, .last_bytes = config.last_bucket_bytes};
  if (ranks == 1) return limits;
  limits.parts = ranks;
  limits.first_tail = control_elements(ranks);
  limits.other_tail = config.checked ? ranks : 0;
  return limits;
}

Sender::Sender(Collective& collective, const KernelSet& kernels, Allocator& allocator, const BucketPlan& plan,
               const std::vector<TensorView>& buckets, const ExchangeConfig& config, std::chrono::nanoseconds timeout,
               const CodecRegistry& codecs)
    : collective_(collective),
      levels_(config.nodes.empty() ? nullptr : std::make_unique<NodeLevels>(collective, config.nodes, config.inner_half, allocator, Deadline::after(timeout))),
      peers_(levels_ != nullptr ? levels_->outer() : &collective), kernels_(kernels), allocator_(allocator), codecs_(codecs), plan_(plan), buckets_(buckets), config_(config), timeout_(timeout) {
  check_memory(plan, buckets);
  lane_ = make_lane(device_of(buckets, collective), buckets.size() + 1);
  if (config.codec == kAutomaticExchange && !encodes()) {
    auto_choices(plan, config.settings, config.automatic);  // throws on leaders and on others alike
    candidates_ = {{config.codec, "none", config.settings}};
    choice_.assign(buckets.size(), 0);
  } else if (config.codec == kAutomaticExchange) {
    automatic_ = std::make_unique<AutoPlan>(*peers_, kernels, allocator, plan, buckets, config.settings, config.automatic, Deadline::after(timeout));
    candidates_ = automatic_->candidates();
    choice_ = automatic_->start();
  } else {
    candidates_ = {{config.codec, config.codec, config.settings}};
    choice_.assign(buckets.size(), 0);
  }
  ended_.assign(buckets.size(), 0);
  assemble(std::vector<std::unique_ptr<Codec>>(buckets.size()));
  stateless_ = agreed(automatic_ == nullptr && std::all_of(messages_.begin(), messages_.end(), [](const Message& message) { return message.codec->stateless(); }));
}

bool Sender::agreed(bool own) {
  if (levels_ == nullptr) return own;
  const std::int64_t value[] = {own ? 1 : 0};
  return levels_->tell(value, lane_->stream(), Deadline::after(timeout_)).front() != 0;
}

bool Sender::finite_everywhere() {
  const bool own = codecs_finite();
  // Codecs without state do not look.
  return levels_ == nullptr || stateless_ ? own : agreed(own);
}

Sender::~Sender() { release_messages(); }

void Sender::release_messages() {
  for (Message& message : messages_) lane_->release_host(message.host_tail);
  messages_.clear();
}

void Sender::assemble(std::vector<std::unique_ptr<Codec>> kept) {
  release_messages();
  fixed_ = {};
  try {
    add_buckets(std::move(kept));
    if (config_.checked) add_integrity();
  } catch (...) {
    release_messages();  // the lane's blocks; a constructor that throws has no destructor to do it
    throw;
  }
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
  const Device device = device_of(buckets_, collective_);
  control_memory_ = std::make_unique<Workspace>(allocator_, static_cast<std::size_t>(elements) * sizeof(float), device, Stream{});
  alone.memory = TensorView(control_memory_->data(), DType::f32, {elements}, device);
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
  if (message.tail_kind != Tail::none) message.host_tail = lane_->allocate_host(static_cast<std::size_t>(message.tail.bytes()));
  messages_.push_back(std::move(message));
}

std::vector<Stage> Sender::stages_of(const Message& message) const { return encodes() ? message.codec->plan(step_) : std::vector<Stage>{}; }

std::int64_t Sender::bytes_of(Stage::Kind kind, std::int64_t bytes) const {
  return kind == Stage::Kind::all_reduce ? peers_->all_reduce_bytes_sent(bytes) : bytes * (peers_->size() - 1);
}

std::int64_t Sender::received_count(const Stage& stage) const { return stage.kind == Stage::Kind::all_gather ? stage.count * peers_->size() : stage.count; }

void Sender::count_bytes(Message& message, const Stage& stage, const TensorView& sent) {
  const std::int64_t bytes = bytes_of(stage.kind, stage.kind == Stage::Kind::reduce_scatter ? sent.bytes() / peers_->size() : sent.bytes());
  message.report.bytes_sent += bytes;
  message.report.bytes_planned += bytes_of(stage.kind, stage.count * static_cast<std::int64_t>(size_of(stage.dtype)));
  ledger_.bytes_sent += bytes;
  ++ledger_.collectives;
}

TensorView Sender::host_view(const Message& message) {
  TensorView view = message.tail;
  view.data = message.host_tail.data;
  view.device = {};
  return view;
}

void Sender::write_tail(const Message& message, const ControlWord& control, double loss) {
  if (message.tail_kind == Tail::none) return;
  if (message.tail_kind == Tail::control) {
    write_control(host_view(message), collective_.rank(), collective_.size(), control, loss);
  } else {
    write_presence(host_view(message), collective_.rank(), collective_.size());
  }
  lane_->upload(message.host_tail, message.tail);
}

void Sender::run_stage(Message& message, std::size_t stage, const Trace& trace) {
  const Stage& what = message.stages[stage];
  const Deadline deadline = Deadline::after(timeout_);
  const CodecCall call{kernels_, lane_->stream(), step_};
  const double begin = seconds_now();
  const TensorView sent = message.codec->encode(stage, call);
  const double encoded = seconds_now();
  message.report.encode_seconds += encoded - begin;
  count_bytes(message, what, sent);
  const bool reduce = what.kind == Stage::Kind::all_reduce;
  const bool with_tail = reduce && message.tail_kind != Tail::none && sent.numel() == message.memory.numel();
  const std::int64_t not_gradient = with_tail ? message.tail.numel() : 0;
  if (integrity_ != nullptr) integrity_->sending(message.first_check + stage, sent, not_gradient, what.op == ReduceOp::sum);
  const char* name = reduce ? "all_reduce" : what.kind == Stage::Kind::all_gather ? "all_gather" : "reduce_scatter";
  if (trace) trace(name, message.bucket, true);
  TensorView received = sent;
  Work work;
  if (!reduce) received = TensorView(message.received[stage]->data(), what.dtype, {received_count(what)}, message.memory.device);
  switch (what.kind) {
    case Stage::Kind::all_reduce: work = peers_->all_reduce(sent, what.op, lane_->stream(), deadline); break;
    case Stage::Kind::all_gather: work = peers_->all_gather(sent, received, lane_->stream(), deadline); break;
    case Stage::Kind::reduce_scatter: work = peers_->reduce_scatter(sent, received, what.op, lane_->stream(), deadline); break;
  }
  if (trace) trace(name, message.bucket, false);
  if (message.tail_kind == Tail::control) control_work_ = work;
  if (integrity_ != nullptr) {
    work.wait(deadline);
    integrity_->received(message.first_check + stage, received, not_gradient);
  }
  const double arrived = seconds_now();
  message.report.collective_seconds += arrived - encoded;
  message.codec->decode(stage, received, call);
  message.report.decode_seconds += seconds_now() - arrived;
}

template <class Body>
void Sender::run_level(Message& message, const char* name, const Trace& trace, const Body& body) {
  const double begin = seconds_now();
  if (trace) trace(name, message.bucket, true);
  body();
  if (trace) trace(name, message.bucket, false);
  message.report.collective_seconds += seconds_now() - begin;
  const std::int64_t bytes = count_inside();
  message.report.bytes_sent += bytes;
  message.report.bytes_planned += bytes;
}

std::int64_t Sender::count_inside() {
  const NodeLevels::Sent sent = levels_->take_sent();
  ledger_.bytes_sent += sent.bytes;
  ledger_.bytes_inside += sent.bytes;
  ledger_.collectives += sent.collectives;
  return sent.bytes;
}

void Sender::send(std::size_t index, const ControlWord& control, double loss, const Trace& trace) {
  Message& message = messages_[index];
  lane_->wait_ready(index);
  if (levels_ != nullptr && index == 0) levels_->take_sent();  // what was said between steps belongs to none
  message.stages = stages_of(message);
  message.report = {.codec = std::move(message.report.codec)};
  add_carried(message);
  if (index == 0) own_nonfinite_ = false;
  if (step_ < locate_until_ && message.bucket >= 0 && !own_nonfinite_) own_nonfinite_ = !nonfinite_member(message).empty();
  write_tail(message, control, loss);
  if (ends_ != nullptr) ends_->expect_equal(index);
  if (levels_ != nullptr) run_level(message, "node sum", trace, [&] { levels_->collect(index, message.memory, message.tail.numel(), kernels_, lane_->stream(), Deadline::after(timeout_)); });
  for (std::size_t stage = 0; stage < message.stages.size(); ++stage) run_stage(message, stage, trace);
  if (levels_ != nullptr) {
    run_level(message, "node spread", trace, [&] {
      const Work work = levels_->spread(message.memory, kernels_, lane_->stream(), Deadline::after(timeout_));
      if (message.tail_kind == Tail::control) control_work_ = work;
    });
    if (ends_ != nullptr) ends_->received(index, message.memory, message.tail.numel());
  }
  if (message.tail_kind != Tail::none) lane_->download(message.tail, message.host_tail);
  if (message.tail_kind == Tail::control) lane_->mark();
  if (message.bucket >= 0) ended_[static_cast<std::size_t>(message.bucket)] = seconds_now();
  if (index + 1 == messages_.size()) lane_->end();
}

ExchangeReport Sender::complete() {
  const Deadline deadline = Deadline::after(timeout_);
  control_work_.wait(deadline);
  if (config_.checked) lane_->mark();  // the counts of all messages are read, not of the first alone
  lane_->settle();
  const ControlSum control = read_control(host_view(messages_[control_message_]), collective_.size());
  if (config_.checked) judge(control, deadline);
  if (control.first_wrong >= 0) {
    fail(ErrorCode::Corrupt, "the step's first message does not hold the contribution of rank ", control.first_wrong, " exactly once (",
         control.contributions, " of ", collective_.size(), " ranks counted). Run with comm.checked = true to see which message is damaged");
  }
  pending_ = true;
  std::vector<int> suspects = control.nonfinite_ranks;
  add_suspects(suspects, deadline);
  const bool finite = finite_everywhere() && suspects.empty();
  if (levels_ != nullptr) count_inside();
  if (!finite) settle(false);
  ExchangeReport report = ledger_;
  ledger_ = fixed_;
  report.control = control.any;
  report.control.nonfinite = !finite;
  report.loss_sum = control.loss_sum;
  report.contributions = control.contributions;
  report.nonfinite_ranks = std::move(suspects);
  if (!finite) report.nonfinite_parameter = look_closer();
  for (const Message& message : messages_) {
    if (message.bucket < 0) continue;
    report.buckets.push_back(message.report);
    report.buckets.back().health = message.codec->health();
    for (const BucketMember& member : plan_.buckets[static_cast<std::size_t>(message.bucket)].members) report.buckets.back().elements += member.numel;
  }
  return report;
}

void Sender::judge(const ControlSum& control, Deadline deadline) {
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    const Message& message = messages_[i];
    if (message.tail_kind == Tail::none) continue;
    const int wrong = message.tail_kind == Tail::control ? control.first_wrong : read_presence(host_view(message), collective_.size());
    if (levels_ != nullptr) {
      levels_->integrity()->counted(i, wrong);
    } else {
      integrity_->counted(message.first_check + message.stages.size() - 1, wrong);
    }
  }
  // Each group knows its own part; what the lowest rank found is what all say.
  std::string wrong = levels_ == nullptr ? std::string() : levels_->integrity()->verdict(deadline);
  if (integrity_ != nullptr) {
    const std::string outside = integrity_->verdict(deadline);
    if (wrong.empty()) wrong = outside;
  }
  if (levels_ != nullptr) {
    wrong = first_text(collective_, wrong, lane_->stream(), deadline);
    if (wrong.empty()) wrong = ends_->verdict(deadline);
  }
  if (wrong.empty()) return;
  failed_together_ = true;
  fail(ErrorCode::Corrupt, wrong);
}

std::string Sender::nonfinite_member(const Message& message) const {
  if (message.memory.device.kind != DeviceKind::cpu) return {};
  for (const BucketMember& member : plan_.buckets[static_cast<std::size_t>(message.bucket)].members) {
    double sum = 0;
    const TensorView gradient = message.memory.slice(member.offset, member.numel);
    kernels_.sum_of_squares(std::span(&gradient, 1), TensorView(&sum, DType::f64, {}), {});
    if (!std::isfinite(sum)) return member.name;
  }
  return {};
}

void Sender::add_suspects(std::vector<int>& ranks, Deadline deadline) {
  if (step_ >= locate_until_) return;
  const std::int64_t own[] = {own_nonfinite_ ? 1 : 0};
  const std::vector<std::int64_t> all = gather_integers(collective_, own, lane_->stream(), deadline);
  for (int rank = 0; rank < collective_.size(); ++rank) {
    const bool known = std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
    if (all[static_cast<std::size_t>(rank)] != 0 && !known) ranks.push_back(rank);
  }
  std::sort(ranks.begin(), ranks.end());
}

std::string Sender::look_closer() {
  constexpr std::int64_t kSteps = 100;
  locate_until_ = step_ + kSteps;
  for (const Message& message : messages_) {
    if (message.bucket < 0) continue;
    std::string name = nonfinite_member(message);
    if (!name.empty()) return name;
  }
  return {};
}

std::string Sender::reject() {
  const bool open = pending_;
  settle(false);
  return open ? look_closer() : std::string();
}

bool Sender::codecs_finite() const {
  for (const Message& message : messages_) {
    if (!message.codec->finite()) return false;
  }
  return true;
}

void Sender::settle(bool keep) {
  if (!pending_) return;
  pending_ = false;
  if (keep) {
    ++step_;
    carries_.clear();
  }
  for (const Message& message : messages_) keep ? message.codec->commit() : message.codec->rollback();
}

void Sender::note_times(const StepTimes& times, ExchangeReport& report) {
  report.backward_seconds = times.backward_seconds;
  for (std::size_t i = 0; i < report.buckets.size(); ++i) {
    BucketReport& bucket = report.buckets[i];
    bucket.ready_seconds = times.ready_seconds[i];
    const double end = ended_[i] - times.begun_seconds, since = std::max(times.backward_seconds, i == 0 ? 0.0 : ended_[i - 1] - times.begun_seconds);
    bucket.exposed_seconds = std::max(0.0, end - since);
    if (automatic_ != nullptr) automatic_->observe_residual(i, choice_[i], report.buckets[i].health.residual_ratio);
  }
  if (automatic_ != nullptr) automatic_->observe(times);
  report.plan = std::move(plan_text_);
  plan_text_.clear();
}

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
    carry(member, buckets_[index], found->second.data());
  }
}

void Sender::carry(const CodecMember& member, const TensorView& bucket, const void* residual) {
  const TensorView f32(const_cast<void*>(residual), DType::f32, {member.numel});
  Carry carry{.name = member.name + kResidual, .place = bucket.slice(member.offset, member.numel), .memory = {}, .value = {}};
  carry.memory = std::make_unique<Workspace>(allocator_, static_cast<std::size_t>(carry.place.bytes()), bucket.device, Stream{});
  carry.value = TensorView(carry.memory->data(), bucket.dtype, {member.numel}, bucket.device);
  kernels_.cast(f32, carry.value, {});
  carries_.push_back(std::move(carry));
}

void Sender::add_carried(const Message& message) {
  const auto* begin = static_cast<const std::byte*>(message.memory.data);
  for (const Carry& carry : carries_) {
    const auto* place = static_cast<const std::byte*>(carry.place.data);
    if (place < begin || place >= begin + message.memory.bytes()) continue;
    kernels_.packed_sum(std::array{carry.place, carry.value}, carry.place, lane_->stream());
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
  for (const Carry& carry : carries_) {
    std::vector<float> residual(static_cast<std::size_t>(carry.value.numel()));
    const TensorView f32(residual.data(), DType::f32, {carry.value.numel()});
    kernels_.cast(carry.value, f32, {});
    put(carry.name, f32);
  }
}

/// Codecs as the checkpoint had them, where it knows all buckets.
void Sender::load_plan(const StateSource& get) {
  carries_.clear();
  std::vector<int> choice;
  for (const Bucket& bucket : plan_.buckets) {
    std::int64_t saved = -1;
    if (!get(plan_name(bucket), TensorView(&saved, DType::i64, {1})) || saved < 0 || saved >= static_cast<std::int64_t>(candidates_.size())) return;
    choice.push_back(static_cast<int>(saved));
  }
  choice_ = choice;
  assemble(std::vector<std::unique_ptr<Codec>>(buckets_.size()));
  automatic_->resumed(step_);
}

void Sender::load_state(const StateSource& get) {
  settle(true);
  if (!get("exchange/step", TensorView(&step_, DType::i64, {1}))) step_ = 0;
  if (automatic_ != nullptr) load_plan(get);
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
      if (get(member.name + kResidual, TensorView(residual.data(), DType::f32, {member.numel}))) carry(member, buckets_[i], residual.data());
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

bool Sender::stateless() const { return stateless_; }

}  // namespace panther::comm
