// MPI as a Transport. One source, compiled once against each MPI that is found.
#include "comm/backends/mpi_module.h"

#include <mpi.h>
#include <sched.h>

#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#include "core/error.h"

namespace panther::comm {
namespace {

/// MPI counts in ints; longer messages travel in pieces.
constexpr std::size_t kMaxPiece = std::size_t{1} << 30;
constexpr int kTag = 7;

std::string error_text(int code) {
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  return {text, static_cast<std::size_t>(length)};
}

/// Waiting for a peer that is computing must not take a core from it: look closely for the time a small message takes,
/// then give way, then sleep.
class Patience {
 public:
  void pause() {
    ++looks_;
    if (looks_ < 200) return;
    if (looks_ < 300) {
      ::sched_yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  bool time_to_look_at_the_clock() const { return looks_ % 64 == 0 || looks_ > 300; }

 private:
  int looks_ = 0;
};

struct Place {
  int rank = 0;
  int size = 1;
  std::atomic<bool> aborted{false};
};

class MpiTransfer final : public Transfer {
 public:
  MpiTransfer(const Place& place, int peer, bool sends) : place_(place), peer_(peer), sends_(sends) {}
  ~MpiTransfer() override {
    for (MPI_Request& request : requests_) {
      if (request == MPI_REQUEST_NULL) continue;
      if (!sends_) MPI_Cancel(&request);
      MPI_Request_free(&request);
    }
  }
  MpiTransfer(const MpiTransfer&) = delete;
  MpiTransfer& operator=(const MpiTransfer&) = delete;

  void post(std::byte* data, std::size_t bytes, MPI_Comm world) {
    for (std::size_t at = 0; at < bytes; at += kMaxPiece) {
      const int count = static_cast<int>(std::min(kMaxPiece, bytes - at));
      MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
      const int code = sends_ ? MPI_Isend(data + at, count, MPI_BYTE, peer_, kTag, world, &request)
                              : MPI_Irecv(data + at, count, MPI_BYTE, peer_, kTag, world, &request);
      if (code != MPI_SUCCESS) lost(error_text(code));
    }
  }

  void wait(Deadline deadline) override {
    for (Patience patience;; patience.pause()) {
      int finished = 0;
      const int code = MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &finished, MPI_STATUSES_IGNORE);
      if (code != MPI_SUCCESS) lost(error_text(code));
      if (finished != 0) return;
      if (!patience.time_to_look_at_the_clock()) continue;
      if (place_.aborted) lost("this rank aborted");
      if (deadline.passed()) fail(ErrorCode::Timeout, where(), ": not done before the deadline");
    }
  }

 private:
  std::string where() const {
    return concat("mpi (rank ", place_.rank, " of ", place_.size, ") ", sends_ ? "sending to" : "receiving from", " rank ", peer_);
  }
  [[noreturn]] void lost(const std::string& reason) const { fail(ErrorCode::PeerLost, where(), ": ", reason); }

  const Place& place_;
  int peer_;
  bool sends_;
  std::vector<MPI_Request> requests_;
};

class MpiTransport final : public Transport {
 public:
  explicit MpiTransport(const MpiWorldFacts& expected) {
    start();
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &place_.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &place_.size);
    PANTHER_REQUIRE(place_.rank == expected.rank && place_.size == expected.size, "the environment says rank ", expected.rank, " of ", expected.size,
                    ", but ", library(), " says rank ", place_.rank, " of ", place_.size,
                    "; start with the mpirun of that MPI, or choose the other one with PANTHER_MPI=openmpi or PANTHER_MPI=mpich");
    const int code = MPI_Comm_dup(MPI_COMM_WORLD, &world_);
    if (code != MPI_SUCCESS) fail(ErrorCode::PeerLost, "MPI_Comm_dup: ", error_text(code));
    MPI_Comm_set_errhandler(world_, MPI_ERRORS_RETURN);
    whole_ = true;
  }

  /// MPI_Finalize waits for all ranks, so it is left out when one may never come: after a failure, and while an exception
  /// ends this process (mpirun then ends the others).
  ~MpiTransport() override {
    if (!whole_ || place_.aborted || std::uncaught_exceptions() > 0) return;
    MPI_Comm_free(&world_);
    MPI_Finalize();
  }
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  std::string_view name() const noexcept override { return "mpi"; }
  int rank() const noexcept override { return place_.rank; }
  int size() const noexcept override { return place_.size; }
  std::unique_ptr<Transfer> send(int to, const void* data, std::size_t bytes) override {
    return post(to, true, const_cast<void*>(data), bytes);
  }
  std::unique_ptr<Transfer> receive(int from, void* data, std::size_t bytes) override { return post(from, false, data, bytes); }
  void abort() noexcept override { place_.aborted = true; }
  /// A message that had begun to arrive cannot be cancelled.
  bool close() noexcept override {
    whole_ = false;
    return false;
  }

 private:
  static std::string library() {
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
    int length = 0;
    MPI_Get_library_version(text, &length);
    const std::string whole(text, static_cast<std::size_t>(length));
    return whole.substr(0, whole.find_first_of(",\n"));
  }

  static void start() {
    int begun = 0;
    int ended = 0;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (begun != 0 || ended != 0) {
      fail(ErrorCode::Unsupported, library(), " was started in this process before; MPI makes one group per process, use gloo for more");
    }
    int provided = 0;
    const int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
    if (code != MPI_SUCCESS) fail(ErrorCode::PeerLost, "MPI_Init_thread of ", library(), ": ", error_text(code));
    if (provided < MPI_THREAD_SERIALIZED) {
      fail(ErrorCode::Unsupported, library(), " is built without MPI_THREAD_SERIALIZED; use an MPI with thread support, or gloo");
    }
  }

  std::unique_ptr<Transfer> post(int peer, bool sends, void* data, std::size_t bytes) {
    auto transfer = std::make_unique<MpiTransfer>(place_, peer, sends);
    transfer->post(static_cast<std::byte*>(data), bytes, world_);
    return transfer;
  }

  Place place_;
  MPI_Comm world_ = MPI_COMM_NULL;
  bool whole_ = false;
};

}  // namespace
}  // namespace panther::comm

extern "C" __attribute__((visibility("default"))) panther::comm::Transport* panther_make_mpi_transport_1(
    const panther::comm::MpiWorldFacts& expected) {
  return new panther::comm::MpiTransport(expected);
}
