#!/usr/bin/env bash
# From a fresh clone to a trained sketched GPT: installs what is missing, builds the programs and runs
#   panther train examples/01_sketched_gpt/train.toml --nproc 2
# Further arguments go to `panther train`, e.g. examples/quickstart.sh --set train.steps=50. Needs about 3 GB of disk and, the first time,
# some minutes; the training itself takes 2 to 4 minutes on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
config=examples/01_sketched_gpt/train.toml

deploy/build.sh release panther-programs
minutes=$((SECONDS / 60)) seconds=$((SECONDS % 60))
printf '\n== ready after %d min %d s; now training. Interrupt with Ctrl-C: it saves a checkpoint and --resume auto continues.\n' $minutes $seconds
printf '== %s\n\n' "build/release/bin/panther train $config --nproc 2 $*"
exec build/release/bin/panther train "$config" --nproc 2 "$@"
