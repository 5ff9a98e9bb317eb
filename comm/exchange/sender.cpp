#include "comm/exchange/sender.h"

#include <algorithm>

#include "comm/exchange/control_tail.h"
#include "comm/exchange/layout.h"
#include "core/error.h"
#include "kernels/philox.h"

namespace panther::comm {
namespace {

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

}  // namespace

BucketLimits bucket_limits(const ExchangeConfig& config, int ranks) {
  BucketLimits limits{.first_bytes = config.first_bucket_bytes, .bucket_bytes = config.bucket_bytes, .last_bytes = config.last_bucket_bytes};
  if (ranks == 1) return limits;
  limits.first_tail = control_elements(ranks);
  limits.other_tail = config.checked ? ranks : 0;
  return limits;
}

Sender::Sender(Collective& collective, const KernelSet& kernels, Allocator& allocator, const BucketPlan& plan,
               const std::vector<TensorView>& buckets, const ExchangeConfig& config, std::chrono::nanoseconds timeout,
               const CodecRegistry& codecs)
    : collective_(collective), kernels_(kernels), allocator_(allocator), timeout_(timeout) {
  check_memory(plan, buckets);
  lane_ = make_lane(device_of(buckets, collective), buckets.size() + 1);
  add_buckets(plan, buckets, config, codecs);
  ledger_ = fixed_;
  if (!config.checked) return;
  std::vector<std::int64_t> checks;
  for (Message& message : messages_) {
    message.first_check = checks.size();
    checks.insert(checks.end(), message.stages.size(), message.bucket);
  }
  integrity_ = std::make_unique<Integrity>(collective_, *lane_, std::move(checks));
  fixed_.bytes_sent += integrity_->bytes_sent();
  ++fixed_.collectives;
  ledger_ = fixed_;
}

Sender::~Sender() {
  for (Message& message : messages_) lane_->release_host(message.host_tail);
}

void Sender::add_buckets(const BucketPlan& plan, const std::vector<TensorView>& buckets, const ExchangeConfig& config,
                         const CodecRegistry& codecs) {
  const int ranks = collective_.size();
  const CodecFactory& factory = codecs.at(config.codec);
  bool control_rides = false;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    Message message;
    message.bucket = static_cast<std::int64_t>(i);
    message.memory = buckets[i];
    message.codec = factory.make(layout_of(plan.buckets[i], buckets[i], collective_.rank(), ranks), config.settings, allocator_);
    PANTHER_REQUIRE(message.codec != nullptr, "the exchange '", config.codec, "' made no codec");
    const std::int64_t tail = plan.buckets[i].tail;
    if (i == 0 && tail >= control_elements(ranks) && message.codec->keeps_bytes()) {
      message.tail_kind = Tail::control;
      control_rides = true;
    } else if (config.checked && message.codec->keeps_bytes()) {
      PANTHER_REQUIRE(tail >= ranks, "checked mode counts contributions behind every bucket: bucket ", i, " has room for ", tail, " elements and ",
                      ranks, " are needed; plan with bucket_limits()");
      message.tail_kind = Tail::presence;
    }
    std::int64_t gradients = 0;
    for (const BucketMember& member : plan.buckets[i].members) gradients += member.numel;
    fixed_.bytes_dense_f32 += collective_.all_reduce_bytes_sent(4 * gradients);
    add_message(std::move(message), tail);
  }
  if (control_rides) return;
  Message alone;
  const std::int64_t elements = control_elements(ranks);
  const Device device = device_of(buckets, collective_);
  control_memory_ = std::make_unique<Workspace>(allocator_, static_cast<std::size_t>(elements) * sizeof(float), device, Stream{});
  alone.memory = TensorView(control_memory_->data(), DType::f32, {elements}, device);
  alone.codec = codec_registry().at("none").make({.bucket = alone.memory, .members = {}, .tail = elements, .rank = collective_.rank(), .ranks = ranks},
                                                 config.settings, allocator_);
  alone.tail_kind = Tail::control;
  control_message_ = messages_.size();
  add_message(std::move(alone), elements);
}

void Sender::add_message(Message message, std::int64_t tail) {
  message.stages = message.codec->plan(step_);
  for (const Stage& stage : message.stages) {
    const bool gather = stage.kind == Stage::Kind::all_gather;
    const std::size_t bytes = static_cast<std::size_t>(stage.count * collective_.size()) * size_of(stage.dtype);
    message.gathered.push_back(gather ? std::make_unique<Workspace>(allocator_, bytes, message.memory.device, Stream{}) : nullptr);
  }
  const std::int64_t start = message.memory.numel() - tail;
  message.tail = message.memory.slice(start, tail);
  if (message.tail_kind != Tail::none) message.host_tail = lane_->allocate_host(static_cast<std::size_t>(message.tail.bytes()));
  messages_.push_back(std::move(message));
}

void Sender::count_bytes(const Stage& stage, const TensorView& sent) {
  const bool gather = stage.kind == Stage::Kind::all_gather;
  ledger_.bytes_sent += gather ? sent.bytes() * (collective_.size() - 1) : collective_.all_reduce_bytes_sent(sent.bytes());
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

void Sender::run_stage(const Message& message, std::size_t stage, const Trace& trace) {
  const Stage& what = message.stages[stage];
  const Deadline deadline = Deadline::after(timeout_);
  const CodecCall call{kernels_, lane_->stream(), step_};
  const TensorView sent = message.codec->encode(stage, call);
  count_bytes(what, sent);
  const bool gather = what.kind == Stage::Kind::all_gather;
  const bool with_tail = !gather && message.tail_kind != Tail::none && sent.numel() == message.memory.numel();
  const std::int64_t not_gradient = with_tail ? message.tail.numel() : 0;
  if (integrity_ != nullptr) integrity_->sending(message.first_check + stage, sent, not_gradient, what.op == ReduceOp::sum);
  const char* name = gather ? "all_gather" : "all_reduce";
  if (trace) trace(name, message.bucket, true);
  TensorView received = sent;
  Work work;
  if (gather) {
    received = TensorView(message.gathered[stage]->data(), what.dtype, {what.count * collective_.size()}, message.memory.device);
    work = collective_.all_gather(sent, received, lane_->stream(), deadline);
  } else {
    work = collective_.all_reduce(sent, what.op, lane_->stream(), deadline);
  }
  if (trace) trace(name, message.bucket, false);
  if (message.tail_kind == Tail::control) control_work_ = work;
  if (integrity_ != nullptr) {
    work.wait(deadline);
    integrity_->received(message.first_check + stage, received, not_gradient);
  }
  message.codec->decode(stage, received, call);
}

void Sender::send(std::size_t index, const ControlWord& control, double loss, const Trace& trace) {
  Message& message = messages_[index];
  lane_->wait_ready(index);
  message.stages = message.codec->plan(step_);
  write_tail(message, control, loss);
  for (std::size_t stage = 0; stage < message.stages.size(); ++stage) run_stage(message, stage, trace);
  if (message.tail_kind != Tail::none) lane_->download(message.tail, message.host_tail);
  if (message.tail_kind == Tail::control) lane_->mark();
  if (index + 1 == messages_.size()) lane_->end();
}

ExchangeReport Sender::complete() {
  const Deadline deadline = Deadline::after(timeout_);
  control_work_.wait(deadline);
  if (integrity_ != nullptr) lane_->mark();  // the counts of all messages are read, not of the first alone
  lane_->settle();
  const ControlSum control = read_control(host_view(messages_[control_message_]), collective_.size());
  if (integrity_ != nullptr) {
    for (const Message& message : messages_) {
      if (message.tail_kind == Tail::none) continue;
      const int wrong = message.tail_kind == Tail::control ? control.first_wrong : read_presence(host_view(message), collective_.size());
      integrity_->counted(message.first_check + message.stages.size() - 1, wrong);
    }
    try {
      integrity_->judge(deadline);
    } catch (const Error& error) {
      failed_together_ = error.code() == ErrorCode::Corrupt;
      throw;
    }
  }
  if (control.first_wrong >= 0) {
    fail(ErrorCode::Corrupt, "the step's first message does not hold the contribution of rank ", control.first_wrong, " exactly once (",
         control.contributions, " of ", collective_.size(), " ranks counted). Run with comm.checked = true to see which message is damaged");
  }
  pending_ = true;
  const bool finite = codecs_finite() && !control.any.nonfinite;
  if (!finite) settle(false);
  ExchangeReport report = ledger_;
  ledger_ = fixed_;
  report.control = control.any;
  report.control.nonfinite = !finite;
  report.loss_sum = control.loss_sum;
  report.contributions = control.contributions;
  return report;
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
  if (keep) ++step_;
  for (const Message& message : messages_) keep ? message.codec->commit() : message.codec->rollback();
}

void Sender::save_state(const StateSink& put) {
  settle(true);
  put("exchange/step", TensorView(&step_, DType::i64, {1}));
  for (const Message& message : messages_) message.codec->save_state(put);
}

void Sender::load_state(const StateSource& get) {
  settle(true);
  if (!get("exchange/step", TensorView(&step_, DType::i64, {1}))) step_ = 0;
  std::uint64_t shared = 0;
  for (const Message& message : messages_) {
    message.codec->load_state(get);
    shared = mix64(shared, message.codec->shared_digest());
  }
  // Ranks at other steps would issue other collectives, and with other factors sum what does not belong together.
  require_equal_digests(collective_, {{"the committed steps of the codec's state", static_cast<std::uint64_t>(step_)},
                                      {"the factors in the codec's state", shared}}, Deadline::after(timeout_));
}

bool Sender::stateless() const {
  return std::all_of(messages_.begin(), messages_.end(), [](const Message& message) { return message.codec->stateless(); });
}

}  // namespace panther::comm
