#!/usr/bin/env bash
# compare.sh [--seconds S | --steps N] [--seeds 1,2,3] [--nproc 2] [--jobs 1] [--data PATH] [--out FOLDER]: trains the dense, sketched and equal-cost
# low-rank twins of train.toml for equal wall time (or equal steps), each at the best of a few learning rates, several seeds; writes a table and plots.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec python3 "$here/compare.py" "$@"
