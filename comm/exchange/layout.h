#pragma once
// What codecs are told of a bucket plan.
#include "comm/exchange/bucket_plan.h"
#include "comm/exchange/codec.h"

namespace panther::comm {

CodecLayout layout_of(const Bucket& bucket, const TensorView& memory, int rank, int ranks);
/// Under which a checkpoint keeps what belongs to the bucket as a whole: its first member's name.
std::string name_of(const Bucket& bucket);
/// Throws InvalidArgument when the settings make no sense for these gradients.
void check_codec(const CodecFactory& factory, const BucketPlan& plan, const CodecSettings& settings);
/// Throws InvalidArgument unless `buckets` are the memory of the plan's buckets: one flat view each, all on one device. Pure.
void check_memory(const BucketPlan& plan, const std::vector<TensorView>& buckets);

}  // namespace panther::comm
