#pragma once
// Everything about sending one step's messages except when: codecs, collectives, control word, checks and the ledger. One thread.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "comm/exchange/auto_plan.h"
#include "comm/exchange/carried_residuals.h"
#include "comm/exchange/control_tail.h"
#include "comm/exchange/exchange.h"
#include "comm/exchange/integrity.h"
#include "comm/exchange/lane.h"
#include "comm/exchange/node_levels.h"

namespace panther::comm {

class Sender {
 public:
  using Trace = std::function<void(const char*, std::int64_t, bool)>;

  Sender(Collective& collective, const KernelSet& kernels, Allocator& allocator, const BucketPlan& plan, const std::vector<TensorView>& buckets,
         const ExchangeConfig& config, std::chrono::nanoseconds timeout, const CodecRegistry& codecs);

  /// Messages of a step: the buckets in plan order, then the control message where it could not ride in the first bucket.
  std::size_t messages() const noexcept { return messages_.size(); }
  Lane& lane() noexcept { return *lane_; }

  void send(std::size_t index, const ControlWord& control, double loss, const Trace& trace);
  /// After the last message: waits for the control word, judges, reports (not the seconds).
  ExchangeReport complete();
  /// The caller's verdict on the step that complete() reported: codecs keep or forget what they computed in it. Idempotent; complete()
  /// has rolled a non-finite step back already.
  void settle(bool keep);
  /// settle(false); gives the first gradient that is not finite, "" where all are or nobody can tell.
  std::string reject();
  void save_state(const StateSink& put);
  void load_state(const StateSource& get);
  bool stateless() const;
  /// Between steps, all ranks together: decides and switches codecs when that is due.
  void replan_if_due();
  /// When the caller's buckets were ready and backward ended; after complete().
  void note_times(const StepTimes& times, ExchangeReport& report);
  int state_holders() const noexcept { return levels_ != nullptr ? static_cast<int>(levels_->leaders().size()) : collective_.size(); }
  /// From any thread.
  void abort() noexcept { levels_ != nullptr ? levels_->abort() : collective_.abort(); }
  /// True when what complete() threw is thrown by all ranks.
  bool failed_together() const noexcept { return failed_together_; }

 private:
  enum class Tail { none, control, presence };
  struct Message {
    std::int64_t bucket = -1;                       ///< -1: the control word alone
    TensorView memory;
    std::unique_ptr<Codec> codec;
    std::vector<Stage> stages;
    std::vector<std::unique_ptr<Workspace>> received;  ///< of stage i; null for an all_reduce, which is in place
    std::size_t first_check = 0;
    Tail tail_kind = Tail::none;
    TensorView tail;
    OwnedHostBlock host_tail;
    BucketReport report;                            ///< of the running step
  };
  using States = std::map<std::string, std::vector<std::byte>>;

  // sender_messages.cpp: what a step sends.
  /// Messages for choice_; codecs in `kept` (by bucket, may be null) stay.
  void assemble(std::vector<std::unique_ptr<Codec>> kept);
  void add_buckets(std::vector<std::unique_ptr<Codec>> kept);
  /// The codec of bucket `index` that this rank's part in the exchange needs. Throws on all ranks what the chosen one throws, also where another
  /// stands in for it.
  std::unique_ptr<Codec> codec_for(std::size_t index) const;
  void add_message(Message message, std::int64_t tail);
  void add_integrity();

  // sender.cpp: sending and judging it.
  std::vector<Stage> stages_of(const Message& message) const;
  std::int64_t bytes_of(Stage::Kind kind, std::int64_t bytes) const;
  std::int64_t received_count(const Stage& stage) const;
  void count_bytes(Message& message, const Stage& stage, const TensorView& sent);
  /// Takes over what the level inside the node counted; gives the bytes.
  std::int64_t count_inside();
  static TensorView host_view(const Message& message);
  void write_tail(const Message& message, const ControlWord& control, double loss);
  void run_stage(Message& message, std::size_t stage, const Trace& trace);
  template <class Body>
  void run_level(Message& message, const char* name, const Trace& trace, const Body& body);
  /// Checked mode, after the last message. Throws Corrupt on all ranks alike.
  void judge(const ControlSum& control, Deadline deadline);
  bool codecs_finite() const;
  /// Of all ranks together: no codec saw nan or inf.
  bool finite_everywhere();

  // sender_nonfinite.cpp: where nan and inf came from.
  /// The first gradient of a message's bucket that holds nan or inf; "" where there is none. Waits for a device.
  std::string nonfinite_member(const Message& message) const;
  /// All ranks together, for some steps after one that was not finite: ranks whose own gradients are not.
  void add_suspects(std::vector<int>& ranks, Deadline deadline);
  /// After a step that was not finite: the first gradient that is not; the next steps are watched.
  std::string look_closer();

  // sender_state.cpp: what stays when codecs change or a run is resumed.
  void switch_codecs(const std::vector<int>& choice);
  /// Gives the codec of bucket `index` the residuals in `states`; what it has no place for is carried.
  void hand_over(std::size_t index, const States& states);
  void load_plan(const StateSource& get);

  /// True on ranks whose codecs speak to others: all of them, or one of each node.
  bool encodes() const noexcept { return peers_ != nullptr; }
  Device device() const noexcept { return buckets_.empty() ? Device{collective_.device(), 0} : buckets_.front().device; }
  /// What a node's leader alone can know.
  bool agreed(bool own);

  Collective& collective_;                           ///< all ranks
  std::unique_ptr<NodeLevels> levels_;               ///< null with one level
  Collective* peers_;                                ///< whom codecs speak to: all ranks, or the nodes' leaders; null on others
  const KernelSet& kernels_;
  Allocator& allocator_;
  const CodecRegistry& codecs_;
  const BucketPlan plan_;
  const std::vector<TensorView> buckets_;
  const ExchangeConfig config_;
  std::chrono::nanoseconds timeout_;
  std::unique_ptr<AutoPlan> automatic_;              ///< null unless config.codec == "auto"
  std::vector<Candidate> candidates_;
  std::vector<int> choice_;                          ///< candidate by bucket
  CarriedResiduals carried_;
  std::vector<std::string> plan_text_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Workspace> control_memory_;
  std::vector<Message> messages_;
  std::unique_ptr<Integrity> integrity_;             ///< of codecs' messages, among peers_; null unless checked
  std::unique_ptr<Integrity> ends_;                  ///< two levels: what all ranks end with, by message; null unless checked
  std::size_t control_message_ = 0;
  Work control_work_;
  ExchangeReport fixed_;                             ///< the part of the ledger that is the same at every step
  ExchangeReport ledger_;                            ///< of the running step
  std::int64_t step_ = 0;                            ///< committed steps
  bool pending_ = false;                             ///< complete() found the step finite; settle() has not come yet
  bool failed_together_ = false;
  std::int64_t locate_until_ = 0;                    ///< committed steps up to which every rank looks at its own gradients before they leave
  bool own_nonfinite_ = false;
  std::vector<double> ended_;                        ///< by bucket: when the thread was done with it in the running step
  bool stateless_ = true;                            ///< the same on all ranks
};

}  // namespace panther::comm
