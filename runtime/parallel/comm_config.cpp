#include "comm/exchange/codec.h"
#include "runtime/parallel/gradient_sync.h"

namespace panther::runtime {
namespace {

std::vector<std::string> exchange_names() {
  std::vector<std::string> names = comm::codec_registry().names();
  names.insert(names.begin(), comm::kAutomaticExchange);
  return names;
}

}  // namespace

void CommConfig::fields(FieldVisitor& v) {
  v.field("backend", backend,
          {.help = "who carries messages; auto: self for one rank, nccl on CUDA, mpi under mpirun, else tcp",
           .choices = {"auto", "self", "threads", "tcp", "mpi", "gloo", "nccl"}});
  v.field("exchange", exchange,
          {.help = "how gradients travel; none: as computed, half: bf16 on the wire with f32 sums, auto: measures the link and chooses, others are lossy (docs/codecs.md)",
           .choices = exchange_names()});
  v.field("bucket_bytes", bucket_bytes, {.help = "gradients are sent together up to about this size; 0: an eighth of them all", .unit = "bytes", .min = 0, .max = 1LL << 40});
  v.field("first_bucket_bytes", first_bucket_bytes,
          {.help = "the same for the first message, small so that sending starts early in backward; 0: half a bucket", .unit = "bytes", .min = 0, .max = 1LL << 40});
  v.field("checked", checked, {.help = "check every message: CRC-32C on all ranks, sums, contribution count (slower; for suspect machines)"});
  v.field("verify_every", verify_every,
          {.help = "every so many steps, check that the exchanged gradients of each sketched layer fit together (U2^T dS1 = dS2 U1^T); 0: never", .unit = "steps", .min = 0, .max = 1e12});
  v.field("deterministic", deterministic,
          {.help = "add gradients in rank order: the same bits for every backend and bucket size (one more step of messages, a pass over memory)"});
  v.field("shard_optimizer", shard_optimizer,
          {.help = "each rank keeps the optimizer's state of its part of the matrices that are not sketched, updates that part and sends it to the others (ZeRO-1); exchange none or half"});
  v.field("timeout_seconds", timeout_seconds,
          {.help = "a collective that takes longer is an error", .unit = "seconds", .min = 0.001, .max = 1e6});
  v.field("interface_address", interface_address,
          {.help = "tcp and gloo: address or interface name to listen on; empty: loopback when all ranks are on this host, else the host's name"});
  v.section("codec", codec, "settings of lossy exchanges");
  v.section("auto", automatic, "what exchange = \"auto\" chooses from, and when");
  v.section("hierarchy", hierarchy, "two levels: inside nodes and among them");
  v.section("local", local, "steps that ranks take alone between exchanges");
}

}  // namespace panther::runtime
