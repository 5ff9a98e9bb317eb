#!/usr/bin/env bash
# run.sh [--rate 25mbit] [--seconds 60] [--peers] [--out runs/slow_network]: two namespaces as hosts with a slow link between them; trains a dense GPT, the same
# with comm.exchange = "auto" and a sketched one for equal wall time each, prints what each learned and writes loss against wall time as SVG. Needs root
# (it makes network namespaces) and a built Panther (examples/quickstart.sh). --peers adds PyTorch's DistributedDataParallel, plain and with PowerSGD.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if ((EUID != 0)); then
  echo "run.sh: making network namespaces needs root: sudo $0 $*" >&2
  exit 77
fi
for tool in ip tc; do
  command -v "$tool" >/dev/null || { echo "run.sh: no '$tool': apt-get install iproute2" >&2; exit 69; }
done
if [[ ! -x ${PANTHER_BUILD:-$root/build/release}/bin/panther ]]; then
  echo "run.sh: Panther is not built: examples/quickstart.sh or deploy/build.sh release" >&2
  exit 69
fi
exec python3 "$here/slow_network.py" "$@"
