#pragma once
// When ranks that train on their own come together. Pure.
#include <cstdint>

#include "core/fields.h"
#include "runtime/export.h"

namespace panther::runtime {

/// `[comm.local]`: ranks take optimizer steps alone and exchange how far they moved (DiLoCo, arXiv 2311.08105; in fragments and delayed: Streaming DiLoCo,
/// arXiv 2501.18512).
struct PANTHER_RUNTIME_API LocalConfig {
  std::int64_t every = 0;        ///< steps of a rank between two exchanges of a parameter; 0: gradients are exchanged at every step
  std::int64_t fragments = 1;    ///< parameters are exchanged in so many parts, one after the other, evenly over `every` steps
  std::int64_t delay = 0;        ///< steps that are taken while a fragment travels
  double keep_local = 0;         ///< share of a rank's own value that stays when the common one arrives
  double outer_lr = 1;           ///< of the common step; 1 without momentum: parameters are averaged
  double outer_momentum = 0;     ///< Nesterov's; DiLoCo takes 0.7 and 0.9, which pays after some hundred exchanges
  void fields(FieldVisitor& v);
};

/// Steps count from 1: "after step s" is when s steps are done.
class PANTHER_RUNTIME_API LocalSchedule {
 public:
  /// `total` steps in all, after which everything is exchanged. Throws InvalidArgument when `every` is not a multiple of `fragments`, or a
  /// fragment would still travel when the next one is due.
  LocalSchedule(const LocalConfig& config, std::int64_t total);

  /// After step `done` and before the next: the fragment that leaves now and comes back `delay` steps later; -1: none.
  std::int64_t leaves(std::int64_t done) const;
  /// After step `done`: the fragment that comes back now; -1: none.
  std::int64_t arrives(std::int64_t done) const;
  /// After the last step every fragment is exchanged, whatever it did before.
  bool all(std::int64_t done) const { return done == total_; }

 private:
  std::int64_t fragments_, interval_, delay_, total_;
};

}  // namespace panther::runtime
