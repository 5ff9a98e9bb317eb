#include "comm/exchange/sender.h"

#include <algorithm>

#include "comm/exchange/layout.h"
#include "comm/gather_integers.h"
#include "core/error.h"

namespace panther::comm {
namespace {

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Sender::Sender(Collective& collective, const KernelSet& kernels, Allocator& allocator, const BucketPlan& plan,
               const std::vector<TensorView>& buckets, const ExchangeConfig& config, std::chrono::nanoseconds timeout,
               const CodecRegistry& codecs)
    : collective_(collective),
      levels_(config.nodes.empty() ? nullptr : std::make_unique<NodeLevels>(collective, config.nodes, config.inner_half, allocator, Deadline::after(timeout))),
      peers_(levels_ != nullptr ? levels_->outer() : &collective), kernels_(kernels), allocator_(allocator), codecs_(codecs), plan_(plan), buckets_(buckets), config_(config), timeout_(timeout),
      carried_(kernels, allocator) {
  check_memory(plan, buckets);
  lane_ = make_lane(device(), buckets.size() + 1);
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
  view.data = message.host_tail.get().data;
  view.device = {};
  return view;
}

void Sender::write_tail(const Message& message, const ControlWord& control, double loss) {
  if (message.tail_kind == Tail::none) return;
  if (message.tail_kind == Tail::control) {
    write_control(host_view(message), collective_.rank(), collective_.size(), control, loss, automatic_ != nullptr && automatic_->wants_plan());
  } else {
    write_presence(host_view(message), collective_.rank(), collective_.size());
  }
  lane_->upload(message.host_tail.get(), message.tail);
}

void Sender::run_stage(Message& message, std::size_t stage, const Trace& trace) {
  const Stage& what = message.stages[stage];
  const Deadline deadline = Deadline::after(timeout_);
  const CodecCall call{kernels_, lane_->stream(), step_, lane_.get()};
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
  carried_.add_to(message.memory, lane_->stream());
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
  if (message.tail_kind != Tail::none) lane_->download(message.tail, message.host_tail.get());
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
  if (control.plan && automatic_ != nullptr) automatic_->plan_soon();
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
    carried_.clear();
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
    if (automatic_ != nullptr) automatic_->observe_residual(i, choice_[i], report.buckets[i].health.residual_ratio, step_);
  }
  if (automatic_ != nullptr) automatic_->observe(times);
  report.plan = std::move(plan_text_);
  plan_text_.clear();
}

bool Sender::stateless() const { return stateless_; }

}  // namespace panther::comm
