#include "comm/backends/arguments.h"

#include "core/error.h"

namespace panther::comm {
namespace {

std::string place(const Collective& group, const char* operation) {
  return concat(operation, " on ", group.backend(), " (rank ", group.rank(), " of ", group.size(), "): ");
}

const char* device_name(DeviceKind kind) { return kind == DeviceKind::cuda ? "cuda" : "cpu"; }

}  // namespace

void require_store(const GroupOptions& options, const char* backend) {
  PANTHER_REQUIRE(options.store != nullptr || options.size == 1, "comm.backend = ", backend, " with ", options.size,
                  " ranks needs a store to meet in; start with `panther train --nproc N`, or set PANTHER_STORE or MASTER_ADDR and MASTER_PORT");
}

void check_buffer(const Collective& group, const char* operation, const TensorView& view) {
  PANTHER_REQUIRE(view.device.kind == group.device(), place(group, operation), "the buffer is on ", device_name(view.device.kind),
                  ", this backend takes ", device_name(group.device()), " memory");
  PANTHER_REQUIRE(view.is_contiguous(), place(group, operation), "the buffer is not contiguous; copy it into one that is");
  PANTHER_REQUIRE(view.data != nullptr || view.numel() == 0, place(group, operation), "the buffer of ", view.numel(), " elements is null");
}

void check_root(const Collective& group, const char* operation, int root) {
  PANTHER_REQUIRE(root >= 0 && root < group.size(), place(group, operation), "there is no root ", root);
}

void check_parts(const Collective& group, const char* operation, const TensorView& part, const TensorView& whole) {
  check_buffer(group, operation, part);
  check_buffer(group, operation, whole);
  PANTHER_REQUIRE(part.dtype == whole.dtype, place(group, operation), "dtypes differ: ", dtype_name(part.dtype), " and ", dtype_name(whole.dtype));
  PANTHER_REQUIRE(whole.numel() == part.numel() * group.size(), place(group, operation), "the whole has ", whole.numel(), " elements, ",
                  group.size(), " times ", part.numel(), " are needed");
}

void check_all_to_all(const Collective& group, const TensorView& input, const TensorView& output) {
  check_buffer(group, "all_to_all", input);
  check_buffer(group, "all_to_all", output);
  PANTHER_REQUIRE(input.dtype == output.dtype && input.numel() == output.numel(), place(group, "all_to_all"), "input has ", input.numel(), " ",
                  dtype_name(input.dtype), ", output ", output.numel(), " ", dtype_name(output.dtype), "; they must be equal");
  PANTHER_REQUIRE(input.numel() % group.size() == 0, place(group, "all_to_all"), input.numel(), " elements do not split into ", group.size(),
                  " equal chunks");
  PANTHER_REQUIRE(input.data != output.data || input.numel() == 0, place(group, "all_to_all"), "input and output are the same buffer");
}

void check_send_recv(const Collective& group, const TensorView& outgoing, int to, const TensorView& incoming, int from) {
  const int size = group.size();
  PANTHER_REQUIRE(to >= -1 && to < size && from >= -1 && from < size, place(group, "send_recv"), "there is no rank ",
                  to < -1 || to >= size ? to : from, "; -1 means none");
  if (to >= 0) check_buffer(group, "send_recv", outgoing);
  if (from >= 0) check_buffer(group, "send_recv", incoming);
  const bool to_itself = to == group.rank();
  PANTHER_REQUIRE(to_itself == (from == group.rank()), place(group, "send_recv"), "a message to oneself needs this rank on both sides");
  PANTHER_REQUIRE(!to_itself || outgoing.bytes() == incoming.bytes(), place(group, "send_recv"), "a message to oneself of ", outgoing.bytes(),
                  " bytes into ", incoming.bytes());
}

}  // namespace panther::comm
