#pragma once
// What `comm.exchange = "auto"` would do on a link that nobody has measured yet: for dry runs.
#include "comm/exchange/exchange.h"
#include "comm/exchange/planner.h"

namespace panther::comm {

/// A link of this rate, with the latency that a host on the same switch has.
PANTHER_COMM_API LinkRate assumed_link(double megabits);

/// What "auto" would choose on a link before anything ran: codecs are timed on this machine's CPU, backward hides nothing.
PANTHER_COMM_API StepPlan plan_for_link(const BucketPlan& plan, const ExchangeConfig& config, const KernelSet& kernels, Allocator& allocator, int ranks,
                                        const LinkRate& link, std::vector<std::string>* candidates = nullptr);  // may receive the candidates' names

}  // namespace panther::comm
