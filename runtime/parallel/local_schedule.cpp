#include "runtime/parallel/local_schedule.h"

#include "core/error.h"

namespace panther::runtime {

void LocalConfig::fields(FieldVisitor& v) {
  v.field("every", every, {.help = "steps that each rank takes alone between two exchanges of its parameters; 0: gradients are exchanged at every step", .unit = "steps", .min = 0, .max = 1e9});
  v.field("fragments", fragments, {.help = "the parameters travel in so many parts, spread over the steps between; every must be a multiple", .min = 1, .max = 1e6});
  v.field("delay", delay, {.help = "steps that ranks take while a fragment travels: hides slow links; less than every / fragments", .unit = "steps", .min = 0, .max = 1e9});
  v.field("keep_local", keep_local, {.help = "share of its own value that a rank keeps when the common one arrives; 0.5 suits a delay", .min = 0, .max = 0.999});
  v.field("outer_lr", outer_lr, {.help = "learning rate of the common step along the mean of the ranks' moves; 1 without momentum: parameters are averaged", .min = 0, .max = 10});
  v.field("outer_momentum", outer_momentum, {.help = "Nesterov momentum of the common step; DiLoCo: 0.9 with outer_lr = 0.7, for runs of some hundred exchanges", .min = 0, .max = 0.999999});
}

LocalSchedule::LocalSchedule(const LocalConfig& config, std::int64_t total)
    : fragments_(config.fragments), interval_(config.every / config.fragments), delay_(config.delay), total_(total) {
  PANTHER_REQUIRE(config.every >= 1 && config.every % config.fragments == 0, "comm.local.every = ", config.every, " is not a multiple of comm.local.fragments = ",
                  config.fragments, "; parts of the parameters travel at equal distances, so choose e.g. every = ", (config.every / config.fragments + 1) * config.fragments);
  PANTHER_REQUIRE(config.delay < interval_, "comm.local.delay = ", config.delay, ": the next fragment leaves after ", interval_, " steps (comm.local.every = ", config.every,
                  " / fragments = ", config.fragments, "), before this one is back; choose a delay below ", interval_);
}

std::int64_t LocalSchedule::leaves(std::int64_t done) const {
  if (done <= 0 || done >= total_ || done % interval_ != 0) return -1;
  return (done / interval_ - 1) % fragments_;
}

std::int64_t LocalSchedule::arrives(std::int64_t done) const { return leaves(done - delay_) >= 0 && done <= total_ ? leaves(done - delay_) : -1; }

}  // namespace panther::runtime
