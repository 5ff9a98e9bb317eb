#include "comm/exchange/exchange.h"

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "comm/exchange/layout.h"
#include "comm/exchange/sender.h"
#include "core/clock.h"
#include "core/error.h"

namespace panther::comm {
namespace {

using Instant = std::chrono::steady_clock::time_point;

Instant now() { return std::chrono::steady_clock::now(); }

}  // namespace

/// Readiness, the communication thread and its errors. `mutex_` guards everything below it; the sender belongs to the thread.
struct Exchange::Impl {
  Impl(const Sender::Trace& trace, BucketPlan plan, std::unique_ptr<Sender> sender);
  ~Impl();

  /// Starts the communication thread.
  void start();
  void begin(Stream compute);
  void set_control(ControlWord control, double loss);
  void mark_ready(std::int64_t slot);
  ExchangeReport finish();
  /// Calls `use` with the sender while no step is open; does nothing with one rank.
  void between_steps(const char* what, const std::function<void(Sender&)>& use);

 private:
  void mark(std::int64_t slot);
  void run();
  void work_step(std::unique_lock<std::mutex>& lock);
  void fail_step(std::exception_ptr error, bool together) noexcept;

  const Sender::Trace& trace_;
  const BucketPlan plan_;
  std::vector<std::size_t> bucket_of_;          // by slot
  const std::unique_ptr<Sender> sender_;        // null with one rank

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> marked_;                    // by slot
  std::vector<std::int64_t> missing_;           // slots a message still waits for
  Instant begun_;
  StepTimes times_;                             // of the running step
  ControlWord control_;
  double loss_ = 0;
  bool open_ = false;                           // between begin and finish
  bool complete_ = false;                       // the thread is done with the step
  bool stop_ = false;
  std::size_t started_ = 0;                     // messages the thread has taken up
  double busy_seconds_ = 0;
  ExchangeReport report_;
  std::exception_ptr error_;
  std::thread thread_;
};

Exchange::Impl::Impl(const Sender::Trace& trace, BucketPlan plan, std::unique_ptr<Sender> sender)
    : trace_(trace), plan_(std::move(plan)), sender_(std::move(sender)) {
  std::size_t slots = 0;
  for (const Bucket& bucket : plan_.buckets) slots += bucket.members.size();
  bucket_of_.resize(slots);
  std::vector<bool> seen(slots, false);
  for (std::size_t i = 0; i < plan_.buckets.size(); ++i) {
    for (const BucketMember& member : plan_.buckets[i].members) {
      const auto slot = static_cast<std::size_t>(member.slot);
      PANTHER_REQUIRE(member.slot >= 0 && slot < slots && !seen[slot], "the bucket plan must hold each of its ", slots,
                      " gradients once; gradient ", member.slot, " in bucket ", i, " breaks that");
      seen[slot] = true;
      bucket_of_[slot] = i;
    }
  }
}

void Exchange::Impl::start() {
  thread_ = std::thread([this] { run(); });
}

Exchange::Impl::~Impl() {
  if (!thread_.joinable()) return;
  bool abandoned = false;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    abandoned = open_ && !complete_;
  }
  if (abandoned) sender_->abort();  // the thread may be inside a collective, and so may the peers
  changed_.notify_all();
  thread_.join();
}

void Exchange::Impl::begin(Stream compute) {
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
  PANTHER_REQUIRE(!open_, "begin() was called twice without finish()");
  if (sender_) {
    try {
      sender_->settle(true);
      sender_->replan_if_due();
    } catch (...) {
      fail_step(std::current_exception(), false);  // the peers may be in the step already
      throw;
    }
  }
  begun_ = now();
  times_.begun_seconds = std::chrono::duration<double>(begun_.time_since_epoch()).count();
  times_.ready_seconds.assign(plan_.buckets.size(), 0);
  marked_.assign(bucket_of_.size(), false);
  missing_.clear();
  for (const Bucket& bucket : plan_.buckets) missing_.push_back(static_cast<std::int64_t>(bucket.members.size()));
  missing_.resize(sender_ ? sender_->messages() : missing_.size(), 1);  // the control message waits for finish()
  control_ = {};
  loss_ = 0;
  started_ = 0;
  busy_seconds_ = 0;
  complete_ = false;
  open_ = true;
  if (!sender_) return;
  sender_->lane().begin(compute);
}

void Exchange::Impl::between_steps(const char* what, const std::function<void(Sender&)>& use) {
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
  PANTHER_REQUIRE(!open_, what, " belongs between finish() and the next begin()");
  if (sender_) use(*sender_);
}

void Exchange::Impl::set_control(ControlWord control, double loss) {
  const std::lock_guard lock(mutex_);
  PANTHER_REQUIRE(open_, "set_control() belongs between begin() and finish()");
  PANTHER_REQUIRE(started_ == 0 || error_, "set_control() came after the first bucket was sent; call it before backward");
  control_ = control;
  loss_ = loss;
}

void Exchange::Impl::mark_ready(std::int64_t slot) {
  const std::lock_guard lock(mutex_);
  PANTHER_REQUIRE(open_, "gradient ", slot, " became ready outside begin() and finish()");
  PANTHER_REQUIRE(slot >= 0 && slot < static_cast<std::int64_t>(marked_.size()), "there is no gradient ", slot, "; the plan has ", marked_.size());
  PANTHER_REQUIRE(!marked_[static_cast<std::size_t>(slot)], "gradient ", slot,
                  " became ready twice in one step: it was on its way already; say how many backward passes a step has");
  mark(slot);
}

void Exchange::Impl::mark(std::int64_t slot) {
  marked_[static_cast<std::size_t>(slot)] = true;
  const std::size_t bucket = bucket_of_[static_cast<std::size_t>(slot)];
  if (--missing_[bucket] > 0 || !sender_) return;
  times_.ready_seconds[bucket] = std::chrono::duration<double>(now() - begun_).count();
  sender_->lane().note_ready(bucket);
  changed_.notify_all();
}

ExchangeReport Exchange::Impl::finish() {
  const Instant begin = now();
  std::unique_lock lock(mutex_);
  PANTHER_REQUIRE(open_, "finish() without begin()");
  times_.backward_seconds = std::chrono::duration<double>(begin - begun_).count();
  for (std::size_t slot = 0; slot < marked_.size(); ++slot) {
    if (!marked_[slot]) mark(static_cast<std::int64_t>(slot));
  }
  if (!sender_) {
    open_ = false;
    ExchangeReport report;
    report.control = control_;
    report.loss_sum = loss_;
    report.contributions = 1;
    return report;
  }
  if (missing_.size() > plan_.buckets.size()) {
    missing_.back() = 0;
    sender_->lane().note_ready(missing_.size() - 1);
    changed_.notify_all();
  }
  changed_.wait(lock, [this] { return complete_ || error_; });
  open_ = false;
  if (error_) std::rethrow_exception(error_);
  ExchangeReport report = report_;
  sender_->note_times(times_, report);
  report.exposed_seconds = std::chrono::duration<double>(now() - begin).count();
  return report;
}

void Exchange::Impl::run() {
  std::unique_lock lock(mutex_);
  try {
    lock.unlock();
    sender_->lane().enter_thread();
    lock.lock();
    while (!stop_) work_step(lock);
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    fail_step(std::current_exception(), sender_->failed_together());
  }
}

/// Sends what is ready in plan order; returns when the step is complete or the exchange ends.
void Exchange::Impl::work_step(std::unique_lock<std::mutex>& lock) {
  const auto ready = [this] { return stop_ || (open_ && !complete_ && missing_[started_] == 0); };
  while (!stop_) {
    changed_.wait(lock, ready);
    if (stop_) return;
    const std::size_t index = started_++;
    const ControlWord control = control_;
    const double loss = loss_;
    lock.unlock();
    const Instant begin = now();
    sender_->send(index, control, loss, trace_);
    ExchangeReport report;
    const bool last = index + 1 == sender_->messages();
    if (last) report = sender_->complete();
    const double busy = std::chrono::duration<double>(now() - begin).count();
    const double on_device = last ? sender_->lane().device_seconds() : 0;
    lock.lock();
    busy_seconds_ += busy;
    if (!last) continue;
    report.collective_seconds = on_device < 0 ? busy_seconds_ : on_device;
    report_ = report;
    complete_ = true;
    changed_.notify_all();
    return;
  }
}

void Exchange::Impl::fail_step(std::exception_ptr error, bool together) noexcept {
  error_ = std::move(error);
  changed_.notify_all();
  if (!together) sender_->abort();  // never blocks
}

Exchange::Exchange(Collective& collective, const KernelSet& kernels, Allocator& allocator, BucketPlan plan, std::vector<TensorView> buckets,
                   const ExchangeConfig& config, std::chrono::nanoseconds timeout, const CodecRegistry& codecs) {
  // What is wrong with many ranks is an error with one too.
  check_settings(config.settings);
  if (config.codec != kAutomaticExchange) check_codec(codecs.at(config.codec), plan, config.settings);
  std::unique_ptr<Sender> sender;
  if (collective.size() > 1) sender = std::make_unique<Sender>(collective, kernels, allocator, plan, buckets, config, timeout, codecs);
  impl_ = std::make_unique<Impl>(trace, std::move(plan), std::move(sender));
  if (collective.size() > 1) impl_->start();
}

Exchange::~Exchange() = default;

void Exchange::begin(Stream compute_stream) { impl_->begin(compute_stream); }
void Exchange::set_control(ControlWord control, double loss_sum) { impl_->set_control(control, loss_sum); }
void Exchange::mark_ready(std::int64_t slot) { impl_->mark_ready(slot); }
ExchangeReport Exchange::finish() { return impl_->finish(); }
std::string Exchange::reject_step() {
  std::string parameter;
  impl_->between_steps("reject_step()", [&](Sender& sender) { parameter = sender.reject(); });
  return parameter;
}
void Exchange::save_state(const StateSink& put) const {
  impl_->between_steps("save_state()", [&](Sender& sender) { sender.save_state(put); });
}
void Exchange::load_state(const StateSource& get) {
  impl_->between_steps("load_state()", [&](Sender& sender) { sender.load_state(get); });
}
int Exchange::state_holders() const {
  int holders = 1;
  impl_->between_steps("state_holders()", [&](Sender& sender) { holders = sender.state_holders(); });
  return holders;
}
bool Exchange::stateless() const {
  bool result = true;
  impl_->between_steps("stateless()", [&](Sender& sender) { result = sender.stateless(); });
  return result;
}

}  // namespace panther::comm
