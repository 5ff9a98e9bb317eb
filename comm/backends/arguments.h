#pragma once
// The checks every backend makes before it connects and before it touches a buffer.
#include "comm/collective.h"
#include "comm/group.h"

namespace panther::comm {

/// Throws InvalidArgument where ranks of several processes have no store to meet in.
void require_store(const GroupOptions& options, const char* backend);
/// Each throws InvalidArgument naming the operation, the shape and what is needed.
void check_buffer(const Collective& group, const char* operation, const TensorView& view);
void check_root(const Collective& group, const char* operation, int root);
/// `whole` holds size() times `part`, both of one dtype.
void check_parts(const Collective& group, const char* operation, const TensorView& part, const TensorView& whole);
/// Equal sizes that split into size() equal chunks; the two do not overlap.
void check_all_to_all(const Collective& group, const TensorView& input, const TensorView& output);
/// Peers from -1 to size() - 1; a message to oneself has this rank on both sides and equal sizes.
void check_send_recv(const Collective& group, const TensorView& outgoing, int to, const TensorView& incoming, int from);

}  // namespace panther::comm
