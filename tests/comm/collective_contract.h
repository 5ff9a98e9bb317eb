#pragma once
// What every Collective must do, as checks that all ranks of a group run together. They use EXPECT and leave the group usable.
#include "comm/collective.h"

namespace panther::comm::testing {

void check_facts(Collective& group, int ranks);
void check_all_reduce_sum(Collective& group);
void check_all_reduce_extremes(Collective& group);
void check_all_reduce_large(Collective& group);
/// bf16 and f16 sums are exact in f32 and rounded once.
void check_one_rounding(Collective& group);
/// All ranks see the same bits, and again in a second run.
void check_same_bits(Collective& group);
void check_extremes_of_nan(Collective& group);
void check_all_gather(Collective& group);
void check_reduce_scatter(Collective& group);
void check_broadcast(Collective& group);
void check_all_to_all(Collective& group);
void check_send_recv(Collective& group);
void check_barrier(Collective& group);
/// Wrong arguments are InvalidArgument before anything is sent.
void check_arguments(Collective& group);
void check_many_in_a_row(Collective& group);
/// Groups of some ranks do what groups do, beside the whole one and one another.
void check_split(Collective& group);

}  // namespace panther::comm::testing
